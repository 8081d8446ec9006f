"""Bodies as a test file has them: JSON as values, a form as its fields, anything else as text, sent as it was."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from perfloop_base.redaction import is_secret_name
from perfloop_loadgen.config.placeholders import escape
from perfloop_loadgen.imports.parameters import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.imports.found import Found

FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_FORM_TEXT = re.compile(r"[^\s=&{}\[\]]+=[^\s&]*(?:&[^\s=&]+=[^\s&]*)*")
_TEXT_PAIR = re.compile(r'"(?P<name>[^"\\]{1,100})"\s{0,20}:\s{0,20}"(?P<value>(?:[^"\\]|\\.)*+)"')
# How programs write JSON; a body in one of these ways is the same bytes, or differs in spaces alone, when it is sent.
_WAYS: tuple[dict[str, Any], ...] = (
    {"separators": (",", ":")},
    {},
    {"indent": 2},
    {"indent": 4},
    {"indent": 1},
    {"indent": "\t"},
)
_DEEPEST = 25


def is_json(content_type: str) -> bool:
    """Return whether a content type is JSON's, or one built on it, as `application/problem+json`."""
    kind = base_type(content_type)
    return kind in {_JSON, "text/json"} or kind.endswith("+json")


def base_type(content_type: str) -> str:
    """Return a content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def text_body(text: str, content_type: str, found: Found) -> dict[str, Any]:
    """Return the keys of a request whose body is this text: `data` or `form`, and `headers` with the content type.

    JSON and forms become values where those are sent as the same text again, up to spaces: `1.10`, a number of 24
    digits, a name that comes twice would not be. A text of another type is kept as it is, even if it looks like JSON.
    """
    kind = base_type(content_type)
    if kind == FORM:
        return form_body(parse_qsl(text, keep_blank_values=True), found, text, content_type)
    if is_json(kind) or (not kind and text.lstrip()[:1] in {"{", "["}):
        value = _json_value(text)
        if value is not None:
            return {**_with_type(content_type, _JSON), "data": found.values(value[0])}
    return {**_with_type(content_type, _TEXT), "data": _without_secrets(text, found)}


def json_body(value: Any, content_type: str, found: Found) -> dict[str, Any]:
    """Return the keys of a request whose body is a value that is written as JSON."""
    # A text alone would be sent as a text, without its quotes.
    if isinstance(value, str):
        return {
            "headers": {"Content-Type": content_type or _JSON},
            "data": escape(json.dumps(value, ensure_ascii=False)),
        }
    if value is None:
        return {"headers": {"Content-Type": content_type or _JSON}, "data": "null"}
    return {**_with_type(content_type, _JSON), "data": found.values(value)}


def form_body(
    pairs: Sequence[tuple[str, str]], found: Found, text: str | None = None, content_type: str = FORM
) -> dict[str, Any]:
    """Return the keys of a request whose body is a form.

    Args:
        pairs: the fields in order; one that comes several times has several values.
        found: takes the secrets.
        text: the form as it was sent; where the fields would be sent otherwise, it is kept. None: there is none.
        content_type: with its parameters.
    """
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    same = urlencode([(name, value) for name, values in fields.items() for value in values], errors="replace")
    if text is not None and same != text:
        return {"headers": {"Content-Type": content_type}, "data": _without_secrets(text, found)}
    form: dict[str, Any] = {}
    for name, values in fields.items():
        kept = [found.parameter(name, value) for value in values]
        form[escape(name)] = kept[0] if len(kept) == 1 else kept
    return {"form": form, **_with_type(content_type, FORM)} if form else {}


def part_text(name: str, value: Any, found: Found) -> str:
    """Return a part of an upload that is a plain field."""
    return found.parameter(name, plain_text(value))


def _json_value(text: str) -> tuple[Any] | None:
    """Return the value of a text that is sent as the same text, up to spaces; a tuple, since null is a value."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        if not isinstance(value, dict | list) or _depth(value) > _DEEPEST:
            return None
        same = any(json.dumps(value, ensure_ascii=False, **way) == text.strip() for way in _WAYS)
    except (ValueError, RecursionError):
        return None
    return (value,) if same else None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _depth(value: Any) -> int:
    deepest, open_values = 0, [(value, 1)]
    while open_values:
        one, depth = open_values.pop()
        deepest = max(deepest, depth)
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        open_values += [(part, depth + 1) for part in inner]
    return deepest


def _with_type(content_type: str, default: str) -> dict[str, Any]:
    """Return the header, unless the program sends this content type by itself."""
    wanted = content_type.strip()
    same = not wanted or wanted.lower().replace(" ", "") == default.replace(" ", "")
    return {} if same else {"headers": {"Content-Type": wanted}}


def _without_secrets(text: str, found: Found) -> str:
    """Return a text with its secrets as placeholders, where the names of a form or of JSON say what they are."""
    if not text.lstrip().startswith(("{", "[")):
        if _FORM_TEXT.fullmatch(text):
            return "&".join(_form_piece(piece, found) for piece in text.split("&"))
        return found.text(text)
    parts: list[str] = []
    done = 0
    for pair in _TEXT_PAIR.finditer(text):
        if is_secret_name(pair["name"]) and pair["value"]:
            parts += (escape(text[done : pair.start("value")]), found.secret(pair["name"], pair["value"]))
            done = pair.end("value")
    return "".join((*parts, escape(text[done:])))


def _form_piece(piece: str, found: Found) -> str:
    name, sign, value = piece.partition("=")
    return f"{escape(name)}{sign}{found.parameter(unquote_plus(name), value)}"
