"""What a schema asks for once its references are followed and its compositions are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_loadgen.imports.references import Part
from perfloop_loadgen.imports.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.imports.references import References

_NOT_RULES = frozenset({"$ref", "description", "summary", "title"})
_COMPOSED = frozenset({"allOf", "oneOf", "anyOf"})
# Of a merged schema: how the chosen alternative was referred to, and where each field's references begin.
CHOSEN = "x-chosen"
_BASES = "x-bases"


class Schemas:
    """Merges schemas, each once: documents refer to the same ones thousands of times."""

    def __init__(self, references: References) -> None:
        self._references = references
        self.texts = Texts()
        self._merged: dict[int, Part] = {}
        self._under_way: set[int] = set()
        # Keys are addresses of mappings: those that belong to no document must not be collected.
        self._kept: list[Any] = []

    def follow(self, part: Part) -> Part:
        """Return what a part refers to."""
        return self._references.follow(part)

    def fields(self, schema: Part) -> dict[str, Part]:
        """Return the fields of a merged schema of an object."""
        bases = schema.mapping().get(_BASES) or {}
        return {name: Part(part.value, bases.get(name, part.base)) for name, part in schema.get("properties").items()}

    def merged(self, schema: Part) -> Part:
        """Return a schema with all of its `allOf` and the first choice of its alternatives."""
        beside = {key: value for key, value in schema.mapping().items() if key not in _NOT_RULES}
        refers = "$ref" in schema.mapping()
        schema = self.follow(schema)
        rules = schema.mapping()
        if refers and beside:  # from 3.1 on, rules beside a reference count as well
            rules = {**rules, **beside}
            schema = Part(rules, schema.base)
        if not rules.keys() & _COMPOSED:
            return schema
        key = id(rules)
        if key in self._merged:
            return self._merged[key]
        if key in self._under_way:  # it is composed of itself
            return Part({}, schema.base)
        self._under_way.add(key)
        try:
            merged = self._merge_all(schema)
        finally:
            self._under_way.discard(key)
        self._kept.append(rules)
        self._merged[key] = merged
        return merged

    def _merge_all(self, schema: Part) -> Part:
        merged = {key: value for key, value in schema.mapping().items() if key not in _COMPOSED}
        own = merged.get("properties")
        bases = dict.fromkeys(own if isinstance(own, dict) else (), schema.base)
        base = schema.base
        chosen = [self._chosen(schema.get(key).parts()) for key in ("oneOf", "anyOf")]
        for part in (*schema.get("allOf").parts(), *(one for one in chosen if one is not None)):
            found = self.merged(part)
            if "items" in found.mapping() and "items" not in merged:
                base = found.base
            _merge(merged, bases, found)
        reference = next((one.mapping().get("$ref") for one in chosen if one is not None), None)
        if isinstance(reference, str):
            merged[CHOSEN] = reference
        merged[_BASES] = bases
        return Part(merged, base)

    def _chosen(self, alternatives: Sequence[Part]) -> Part | None:
        """Return the first alternative that is more than null."""
        for one in alternatives:
            if kind_of(self.follow(one).mapping()) != "null":
                return one
        return alternatives[0] if alternatives else None


def _merge(into: dict[str, Any], bases: dict[str, Any], part: Part) -> None:
    """Add the rules of a part: fields and required names add up, of other rules the first counts."""
    rules = part.mapping()
    for key, value in rules.items():
        have = into.get(key)
        if key == "properties" and isinstance(value, dict):
            into[key] = {**value, **(have if isinstance(have, dict) else {})}
            known = rules.get(_BASES) or {}
            for name in value:
                bases.setdefault(name, known.get(name, part.base))
        elif key == "required" and isinstance(have, list) and isinstance(value, list):
            into[key] = [*have, *(name for name in value if name not in have)]
        elif key != _BASES:
            into.setdefault(key, value)


def kind_of(rules: dict[str, Any]) -> str:
    """Return the type that a schema names, or that its rules are about; of several the first that is not null."""
    kind = rules.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    signs = (("properties", "object"), ("additionalProperties", "object"), ("items", "array"), ("pattern", "string"))
    more = (("format", "string"), ("minLength", "string"), ("maxLength", "string"), ("minimum", "number"))
    return next((kind for key, kind in (*signs, *more) if key in rules), "")
