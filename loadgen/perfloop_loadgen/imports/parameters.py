"""Parameters as a request carries them: the styles of OpenAPI 3 (section "Style Values"), after RFC 6570."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_JOINTS = {"form": ",", "simple": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}
# How Swagger 2.0 says it.
_COLLECTION_STYLES = {"csv": ",", "ssv": "%20", "tsv": "%09", "pipes": "%7C"}
_RESERVED = ":/?#[]@!$&'()*+,;="


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter with the value that it is to have."""

    name: str
    value: Any
    style: str = ""
    explode: bool | None = None
    # May stay as they are in a query: `:/?#[]@!$&'()*+,;=`.
    allow_reserved: bool = False

    def in_path(self) -> str:
        """Return what takes the place of `{name}`."""
        style = self.style or "simple"
        explode = bool(self.explode)
        if style == "label":
            return "." + self._joined("." if explode else ",", explode=explode)
        if style == "matrix":
            return self._matrix(explode=explode)
        return self._joined(",", explode=explode)

    def in_query(self) -> list[str]:
        """Return the parts of the query, each `name=value`."""
        style = self.style or "form"
        explode = style in {"form", "deepObject"} if self.explode is None else self.explode
        name = _quoted(self.name)
        if isinstance(self.value, dict):
            if style == "deepObject":
                return _deep(name, self.value)
            if explode:
                return [f"{_quoted(str(key))}={self._text(part)}" for key, part in self.value.items()]
        if isinstance(self.value, list) and explode:
            return [f"{name}={self._text(part)}" for part in self.value]
        joint = _COLLECTION_STYLES.get(style) or _JOINTS.get(style, ",")
        return [f"{name}={self._joined(joint, explode=False)}"]

    def in_header(self) -> str:
        """Return the value of a header (style `simple`), which is not quoted."""
        if isinstance(self.value, dict):
            sign = "=" if self.explode else ","
            return ",".join(f"{key}{sign}{plain_text(part)}" for key, part in self.value.items())
        parts = self.value if isinstance(self.value, list) else [self.value]
        return ",".join(map(plain_text, parts))

    def _matrix(self, *, explode: bool) -> str:
        name = _quoted(self.name)
        if explode and isinstance(self.value, dict):
            return "".join(f";{_quoted(str(key))}={self._text(part)}" for key, part in self.value.items())
        if explode and isinstance(self.value, list):
            return "".join(f";{name}={self._text(part)}" for part in self.value)
        return f";{name}={self._joined(',', explode=False)}"

    def _joined(self, joint: str, *, explode: bool) -> str:
        if isinstance(self.value, dict):
            sign = "=" if explode else joint
            return joint.join(f"{_quoted(str(key))}{sign}{self._text(part)}" for key, part in self.value.items())
        parts = self.value if isinstance(self.value, list) else [self.value]
        return joint.join(map(self._text, parts))

    def _text(self, value: Any) -> str:
        return quote(plain_text(value), safe=_RESERVED if self.allow_reserved else "", errors="replace")


def _deep(name: str, value: dict[str, Any]) -> list[str]:
    """Return `name[key]=value` for each value; what lies deeper gets a bracket more, as servers read it."""
    parts: list[str] = []
    for key, part in value.items():
        inner = f"{name}[{_quoted(str(key))}]"
        if isinstance(part, dict):
            parts += _deep(inner, part)
        elif isinstance(part, list):
            parts += [f"{inner}={_quoted(plain_text(one))}" for one in part]
        else:
            parts.append(f"{inner}={_quoted(plain_text(part))}")
    return parts


def plain_text(value: Any) -> str:
    """Return a value as a parameter has it: `true`, not Python's `True`; what is no plain value is JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")
