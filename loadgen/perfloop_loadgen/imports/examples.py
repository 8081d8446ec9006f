"""Values that fit a schema: the document's own examples, or else the smallest that its rules allow."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.imports.schemas import CHOSEN, kind_of

if TYPE_CHECKING:
    from perfloop_loadgen.imports.references import Part
    from perfloop_loadgen.imports.schemas import Schemas

# Schemas refer to themselves, each time with several branches: depth alone would not bound their number.
_DEEPEST = 8
_MOST_VALUES = 200  # of one request
_MOST_OPTIONAL = 12  # fields of an object that requires none
# `minItems` is the document's number, of any size.
_MOST_ITEMS = 10
_LONGEST_EXAMPLE = 4000
_NUMBERS = {"integer", "number"}
_EMPTY: dict[str, Any] = {"object": {}, "array": [], "string": "text", "integer": 1, "number": 1.0, "boolean": True}


@dataclass(slots=True)
class Examples:
    """Makes values; one for each request, so that no request's schemas take another one's share."""

    schemas: Schemas
    left: int = _MOST_VALUES
    # The schemas whose values are under way: one that asks for itself again gets nothing inside.
    _open: set[int] = field(default_factory=set)

    def of_holder(self, holder: Part) -> Any:
        """Return the example that a parameter or body has, or one that fits its schema."""
        for key in ("example", "x-example"):
            if key in holder.mapping() and _is_short(holder.value[key]):
                return holder.value[key]
        for _, named in holder.get("examples").items():  # noqa: PERF102 - a Part is no dict
            found = self.schemas.follow(named)
            value = found.mapping().get("value") if "value" in found.mapping() else None
            if value is not None and _is_short(value):
                return value
        return self.of_schema(holder.get("schema"))

    def of_schema(self, schema: Part) -> Any:
        """Return a value that fits a schema."""
        return self._fitting(schema, 0)

    def _fitting(self, schema: Part, depth: int) -> Any:
        self.left -= 1
        schema = self.schemas.merged(schema)
        rules = schema.mapping()
        for key in ("example", "x-example", "default", "const"):
            if key in rules and _is_short(rules[key]) and (rules[key] is not None or kind_of(rules) == "null"):
                return rules[key]
        for key in ("examples", "enum"):
            listed = rules.get(key)
            if isinstance(listed, list) and listed and _is_short(listed[0]):
                return next((one for one in listed if one is not None), None)
        return self._of_kind(schema, depth)

    def _of_kind(self, schema: Part, depth: int) -> Any:
        rules = schema.mapping()
        kind = kind_of(rules)
        if depth > _DEEPEST or self.left < 0 or id(rules) in self._open:
            return _EMPTY.get(kind)
        if kind in {"object", "array"}:
            self._open.add(id(rules))
            try:
                return self._object(schema, depth) if kind == "object" else self._array(schema, depth)
            finally:
                self._open.discard(id(rules))
        if kind in _NUMBERS:
            return fitting_number(rules, whole=kind == "integer")
        if kind == "string":
            return self.schemas.texts.fitting(rules)
        return _EMPTY.get(kind)

    def _object(self, schema: Part, depth: int) -> dict[str, Any]:
        fields = self.schemas.fields(schema)
        required = _texts(schema.mapping().get("required"))
        wanted = [name for name in required if name in fields] or self._optional(fields, depth)
        made: dict[str, Any] = {}
        for name in wanted:
            rules = self.schemas.merged(fields[name])
            # What only answers have; a request that sends it may be refused.
            if rules.mapping().get("readOnly") is not True and (self.left > 0 or name in required):
                made[name] = self._fitting(fields[name], depth + 1)
        return self._with_discriminator(schema, made)

    def _optional(self, fields: dict[str, Part], depth: int) -> list[str]:
        """Return the fields of an object that requires none: all at the top, only plain values below."""
        if depth > 1:
            return []
        plain = [
            name
            for name, rules in list(fields.items())[: 2 * _MOST_OPTIONAL]
            if depth == 0 or kind_of(self.schemas.merged(rules).mapping()) not in {"object", "array", ""}
        ]
        return plain[:_MOST_OPTIONAL]

    def _with_discriminator(self, schema: Part, made: dict[str, Any]) -> dict[str, Any]:
        """Name the kind of object in the field that says it (OpenAPI 3, Discriminator Object)."""
        rules = schema.mapping()
        name = rules.get(CHOSEN)
        discriminator = rules.get("discriminator")
        said_by = discriminator.get("propertyName") if isinstance(discriminator, dict) else None
        if isinstance(name, str) and isinstance(said_by, str):
            mapping = discriminator.get("mapping") if isinstance(discriminator, dict) else None
            known = mapping.items() if isinstance(mapping, dict) else ()
            last = name.rpartition("/")[2]
            made[said_by] = next((key for key, target in known if str(target).rpartition("/")[2] == last), last)
        return made

    def _array(self, schema: Part, depth: int) -> list[Any]:
        rules = schema.mapping()
        first = schema.get("prefixItems").parts()
        if first:
            return [self._fitting(part, depth + 1) for part in first[:_MOST_ITEMS]]
        if rules.get("maxItems") == 0:
            return []
        least = rules.get("minItems")
        number = min(max(1, least if isinstance(least, int) else 1), _MOST_ITEMS)
        items = schema.get("items")
        wanted = self.schemas.merged(items).mapping()
        if id(wanted) in self._open and not least:
            return []
        listed = wanted.get("enum")
        if rules.get("uniqueItems") is True and isinstance(listed, list):
            return listed[:number]
        return [self._fitting(items, depth + 1)] * number


def fitting_number(rules: dict[str, Any], *, whole: bool) -> int | float:
    """Return a number within the bounds of a schema."""
    low, high = _number(rules.get("minimum")), _number(rules.get("maximum"))
    step = _number(rules.get("multipleOf")) or 0
    above, under = rules.get("exclusiveMinimum"), rules.get("exclusiveMaximum")
    gap = 1 if whole else 0.5
    # In 3.0 a flag beside the bound, in 3.1 the bound itself.
    if above is True and low is not None:
        low += gap
    elif above is not True and _number(above) is not None:
        low = float(_number(above) or 0) + gap
    if under is True and high is not None:
        high -= gap
    elif under is not True and _number(under) is not None:
        high = float(_number(under) or 0) - gap
    value: float = 1
    if low is not None and value < low:
        value = math.ceil(low) if whole else low
    if high is not None and value > high:
        value = math.floor(high) if whole else high
    if step > 0:
        value = math.ceil(value / step) * step
    return int(value) if whole else float(value)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300  # noqa: PLR2004
    return value if is_number else None


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _is_short(value: Any) -> bool:
    """Return whether an example is small enough to be copied for each request that uses it."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_EXAMPLE
    if not isinstance(value, dict | list):
        return True
    try:
        return len(json.dumps(value, default=str)) <= _LONGEST_EXAMPLE
    except (ValueError, RecursionError):
        return False
