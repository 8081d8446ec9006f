"""The body of a request: text or JSON, a form, or the parts of an upload.

A form is `application/x-www-form-urlencoded` as browsers send it (WHATWG URL, section 5.2); parts are
`multipart/form-data` (RFC 7578), written by httpx.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from perfloop_base.errors import ConfigError

if TYPE_CHECKING:
    from perfloop_loadgen.config.scenario import EndpointConfig, PartConfig

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MOST_FILES_KEPT = 64


def body_of(endpoint: EndpointConfig) -> tuple[bytes, str | None]:
    """Return the bytes of an endpoint's body and their content type.

    Raises:
        ConfigError: a file to be sent cannot be read.
    """
    wanted = _content_type(endpoint.headers)
    kind = wanted.partition(";")[0].strip().lower()
    if endpoint.multipart:
        return _multipart([(name, _part(part)) for name, parts in endpoint.multipart.items() for part in parts], wanted)
    if endpoint.form is not None:
        return _form(endpoint.form), FORM
    if isinstance(endpoint.data, Mapping) and kind == FORM:
        return _form(endpoint.data), wanted
    if isinstance(endpoint.data, Mapping) and kind == MULTIPART:
        return _multipart([(name, (None, text.encode())) for name, text in _pairs(endpoint.data)], wanted)
    return encode_body(endpoint.data)


def encode_body(data: Any) -> tuple[bytes, str | None]:
    """Return the bytes of `data` and their content type: text as it is, everything else as JSON."""
    if data is None:
        return b"", None
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace"), "text/plain; charset=utf-8"
    # A lone surrogate, which an answer's JSON may hold, goes back as it came: as an escape.
    return _SURROGATE.sub(
        _escape, json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    ).encode(), "application/json"


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _content_type(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), "")


def _form(fields: Mapping[str, Any]) -> bytes:
    return urlencode(list(_pairs(fields)), errors="backslashreplace").encode()


def _pairs(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each field with its value as text; a list is a field that comes several times."""
    for name, value in fields.items():
        many = isinstance(value, Sequence) and not isinstance(value, str)
        for one in value if many else (value,):
            yield str(name), _text(one)


def _text(value: Any) -> str:
    if value is None:
        return ""
    # As JSON writes them: true, 3, {"a": 1}; a text is itself.
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _part(part: PartConfig) -> tuple[Any, ...]:
    """Return a part as httpx takes it: file name, content and, where it is not to be guessed, content type."""
    kind = () if part.content_type is None else (part.content_type,)
    if part.file is None:
        return part.filename, _text(part.text).encode("utf-8", "backslashreplace"), *kind
    return part.filename or Path(part.file).name, _file(part.file), *kind


def _file(path: str) -> bytes:
    try:
        return _read(path, Path(path).stat().st_mtime_ns)
    except (OSError, ValueError) as error:  # a ValueError: NUL in the path
        raise ConfigError(f"multipart: {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


@lru_cache(maxsize=_MOST_FILES_KEPT)
def _read(path: str, changed: int) -> bytes:
    del changed  # part of what a kept content is known by
    return Path(path).read_bytes()


def _multipart(parts: Sequence[tuple[str, tuple[Any, ...]]], wanted: str) -> tuple[bytes, str]:
    import httpx  # heavy, and most tests upload nothing

    named = "boundary=" in wanted.lower()
    kind = f"{MULTIPART};{wanted.partition(';')[2] if named else f' boundary={secrets.token_hex(16)}'}"
    request = httpx.Request("POST", "http://localhost", files=parts, headers={"Content-Type": kind})
    return request.read(), kind
