"""A request prepared once, so that sending it again costs nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.scenario import EndpointConfig, SloConfig
from perfloop_loadgen.scenario.checks import Judge, build_judge

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY_GOOD_STATUS = frozenset(range(200, 400))
_LINE_END = re.compile(r"[\r\n\0]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Target:
    """The service that requests go to."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @classmethod
    def from_url(cls, url: str) -> Target:
        """Parse a base URL."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One request: the bytes that an engine sends, and how its answer is judged and counted (in row `index`)."""

    index: int
    label: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    wire: bytes
    expected: frozenset[int] = ANY_GOOD_STATUS
    wants_body: bool = False
    streams: bool = False
    bodiless: bool = False
    judge: Judge | None = None
    slo: SloConfig = field(default_factory=SloConfig)
    # Whether the status alone decides: the hot path checks this once, not each feature.
    is_plain: bool = True


def build_request(index: int, endpoint: EndpointConfig, target: Target, *, wants_body: bool = False) -> Request:
    """Prepare an endpoint of the file for sending."""
    judge = build_judge(endpoint.checks)
    body, content_type = encode_body(endpoint.data)
    accept = "text/event-stream" if endpoint.stream else "*/*"
    headers = {"Host": target.authority, "User-Agent": "perfloop-loadgen", "Accept": accept}
    if content_type:
        headers["Content-Type"] = content_type
    # Also for an empty body: without a length, some servers wait for one (RFC 9110, section 8.6).
    if body or endpoint.method in {"POST", "PUT", "PATCH"}:
        headers["Content-Length"] = str(len(body))
    headers = merged_headers(headers, endpoint.headers)
    path = target.prefix + endpoint.path
    return Request(
        index=index,
        label=endpoint.label,
        method=endpoint.method,
        path=path,
        headers=headers,
        body=body,
        wire=render(endpoint.method, path, headers, body),
        expected=frozenset(endpoint.expected_status) or ANY_GOOD_STATUS,
        wants_body=wants_body or judge is not None,
        bodiless=endpoint.method == "HEAD",
        judge=judge,
        streams=endpoint.stream,
        slo=endpoint.slo,
        is_plain=judge is None and not endpoint.stream,
    )


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


def merged_headers(defaults: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the defaults overridden by the test's own headers, whatever the case of their names."""
    named = {name.lower() for name in wanted}
    return {name: value for name, value in defaults.items() if name.lower() not in named} | dict(wanted)


def render(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the request as HTTP/1.1 puts it on the wire.

    Raises:
        ConfigError: the path or a header holds what would end its line, or what HTTP cannot carry. A value may come
            from an answer: a line end in it would be a second request that nobody asked for.
    """
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    for line in lines:
        if _LINE_END.search(line):
            raise ConfigError(f"{line.split(' ')[0]!r}: a request's line or header must not hold line ends or NUL")
    try:
        # Header fields are Latin-1 by tradition (RFC 9110, section 5.5); the body has been encoded before.
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
    except UnicodeEncodeError as error:
        name = next(line for line in lines if not _is_latin(line)).split(" ")[0]
        wrong = error.object[error.start]
        raise ConfigError(f"{name!r}: a request's line or header must be Latin-1 text, without {wrong!a}") from error


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)  # noqa: PLR2004 - the size of Latin-1
