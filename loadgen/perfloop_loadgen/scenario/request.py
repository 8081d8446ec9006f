"""A request prepared once, so that sending it again costs nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop_base.errors import ConfigError
from perfloop_base.redaction import split_user
from perfloop_loadgen.config.addresses import ascii_host, encode_target
from perfloop_loadgen.config.model import MAX_BODY_BYTES
from perfloop_loadgen.config.scenario import EndpointConfig, SloConfig, StepConfig
from perfloop_loadgen.scenario.body import MULTIPART, body_of
from perfloop_loadgen.scenario.checks import Extract, Judge, build_extract, build_judge, reads_body

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_MODIFIED = 304
# A redirect is no answer of the service that was asked for: whoever expects one says so.
ANY_GOOD_STATUS = frozenset({*range(200, 300), NOT_MODIFIED})
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
# The header by which a service recognizes a request that comes again, and its older name.
_IDEMPOTENCY_KEYS = frozenset({"idempotency-key", "x-idempotency-key"})
_LINE_END = re.compile(r"[\r\n\0]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Target:
    """The service that requests go to."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    # Of every request that has no header of its own for it; a secret.
    authorization: str | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_url(cls, url: str) -> Target:
        """Parse a base URL; a user in it becomes basic authentication."""
        url, authorization = split_user(url)
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = parts.hostname or ""
        host = host if host.isascii() else ascii_host(host)
        return cls(parts.scheme, host, port, parts.path.rstrip("/"), authorization)

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
    extract: Extract | None = None
    slo: SloConfig = field(default_factory=SloConfig)
    # Whether the status alone decides: the hot path checks this once, not each feature.
    is_plain: bool = True
    # Of a decoded body.
    max_body_bytes: int = MAX_BODY_BYTES
    # Which scenario of the file, and which of its steps; None of everything else.
    step: tuple[int, int] | None = None
    # How many tokens the prompt was meant to have, and the answer had in its trace; 0 where nobody meant any number.
    asked_tokens: tuple[int, int] = (0, 0)

    @property
    def is_idempotent(self) -> bool:
        """Return whether to send the request twice has the effect of sending it once (RFC 9110, section 9.2.2)."""
        return self.method in _IDEMPOTENT or any(name.lower() in _IDEMPOTENCY_KEYS for name in self.headers)

    def derive(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Request:
        """Return another request that is counted and judged as this one.

        Raises:
            ConfigError: the path or a header holds what HTTP cannot carry.
        """
        path = encode_target(path)
        wire = render(method, path, headers, body)
        bodiless = method == "HEAD"
        return replace(self, method=method, path=path, headers=headers, body=body, wire=wire, bodiless=bodiless)


@dataclass(frozen=True, slots=True)
class Reading:
    """How an answer is looked into.

    Attributes:
        wants_body: whether somebody may look into the body besides checks and extracts.
        max_body_bytes: the longest decoded body that is looked into.
        step: which scenario of the file, and which of its steps; None of everything else.
    """

    wants_body: bool = False
    max_body_bytes: int = MAX_BODY_BYTES
    step: tuple[int, int] | None = None


_UNREAD = Reading()


def build_request(index: int, endpoint: EndpointConfig, target: Target, reading: Reading = _UNREAD) -> Request:
    """Prepare an endpoint of the file for sending.

    Raises:
        ConfigError: it holds what HTTP cannot carry, or a file to be sent cannot be read.
    """
    judge = build_judge(endpoint.checks)
    sources = endpoint.extract if isinstance(endpoint, StepConfig) else {}
    extract = build_extract(sources)
    headers, body = _content(endpoint, target)
    path = encode_target(target.prefix + endpoint.path)
    return Request(
        index=index,
        label=endpoint.label,
        method=endpoint.method,
        path=path,
        headers=headers,
        body=body,
        wire=render(endpoint.method, path, headers, body),
        expected=frozenset(endpoint.expected_status) or ANY_GOOD_STATUS,
        wants_body=reading.wants_body or reads_body(endpoint.checks, sources),
        bodiless=endpoint.method == "HEAD",
        judge=judge,
        extract=extract,
        streams=endpoint.stream,
        slo=endpoint.slo,
        is_plain=judge is None and extract is None and not endpoint.stream,
        max_body_bytes=reading.max_body_bytes,
        step=reading.step,
    )


def _content(endpoint: EndpointConfig, target: Target) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of an endpoint."""
    body, content_type = body_of(endpoint)
    accept = "text/event-stream" if endpoint.stream else "*/*"
    headers = {"Host": target.authority, "User-Agent": "perfloop-loadgen", "Accept": accept}
    if target.authorization is not None:
        headers["Authorization"] = target.authorization
    if content_type:
        headers["Content-Type"] = content_type
    # Also for an empty body: without a length, some servers wait for one (RFC 9110, section 8.6).
    if body or endpoint.method in {"POST", "PUT", "PATCH"}:
        headers["Content-Length"] = str(len(body))
    own = endpoint.headers
    if content_type is not None and content_type.startswith(MULTIPART):
        # What ends a part is known only now: a header of the test without it could not be read.
        own = {name: value for name, value in own.items() if name.lower() != "content-type"}
    return merged_headers(headers, own), body


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
        # What is not ASCII goes as UTF-8, as curl, Go and k6 send it: RFC 9110, section 5.5, calls such bytes opaque.
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    except UnicodeEncodeError as error:
        name = next(line for line in lines if _SURROGATE.search(line)).split(" ")[0]
        wrong = error.object[error.start]
        raise ConfigError(f"{name!r}: a request's line or header must be text, without {wrong!a}") from error
