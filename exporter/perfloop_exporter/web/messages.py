"""HTTP/1.1 as scrapers use it: requests without a body, responses with a known length (server.py has the reason)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from perfloop_base.web.hosts import split_target
from perfloop_exporter.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Bytes of a request line with headers; Prometheus sends some 300.
HEAD_LIMIT = 16 * 1024
# Heads that are remembered: a few scrapers and their pages.
KNOWN_HEADS, KNOWN_LENGTH = 64, 1024
END = b"\r\n\r\n"
VERSIONS = ("HTTP/1.1", "HTTP/1.0")
LISTS = ("accept", "accept-encoding")

Headers = tuple[tuple[str, str], ...]

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class BadRequestError(ExporterError):
    """The bytes are not a supported request; the connection is closed after a response with `status`."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Request(NamedTuple):
    """A parsed request; header names are in lower case, the path is unquoted, the query is not.

    Attributes:
        target: As it stood in the first line.
        version: `1.0` or `1.1`.
        hosts: The values of all Host headers.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    keep_alive: bool
    target: str = "/"
    version: str = "1.1"
    hosts: tuple[str, ...] = ("localhost",)


class Response(NamedTuple):
    """A complete response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Headers = ()


def text_response(status: int, text: str) -> Response:
    """Return a plain-text response."""
    return Response(status, text.encode("utf-8", "replace"))


class Heads:
    """Parses heads, and remembers some: a scraper sends the same bytes every time."""

    def __init__(self) -> None:
        self._known: dict[bytes, Request] = {}

    def parse(self, head: bytes) -> Request:
        """Parse a request's head, as `parse_request` does."""
        request = self._known.get(head)
        if request is None:
            request = parse_request(head)
            # No password stays in the memory for longer than its check takes.
            if len(head) <= KNOWN_LENGTH and "authorization" not in request.headers:
                if len(self._known) >= KNOWN_HEADS:
                    self._known.clear()
                self._known[head] = request
        return request


def parse_request(head: bytes) -> Request:
    """Parse a request's head.

    Raises:
        BadRequestError: It is malformed, or announces a body.
    """
    # Latin-1 decodes every byte, so that malformed input ends as a 400 below.
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in VERSIONS or not words[0].isalpha():  # noqa: PLR2004  # method, target, version
        raise BadRequestError(400, "the first line is not `METHOD TARGET HTTP/1.x`")
    headers: dict[str, str] = {}
    hosts: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError(400, "a header line is not `Name: value`")
        key = name.lower()
        # A list may come in several headers of the same name: RFC 9110, section 5.3.
        headers[key] = f"{headers[key]}, {value.strip()}" if key in headers and key in LISTS else value.strip()
        if len(name) == len("host") and name.lower() == "host":
            hosts.append(value.strip())
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise BadRequestError(400, "requests with a body are not supported")
    try:
        _, target = split_target(words[1])
    except ValueError as error:
        raise BadRequestError(400, str(error)) from None
    path, _, query = target.partition("?")
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" and (words[2] != "HTTP/1.0" or connection == "keep-alive")
    version = words[2].removeprefix("HTTP/")
    return Request(words[0], unquote(path), query, headers, keep_alive, words[1], version, tuple(hosts))


def render_response(response: Response, *, headers: Headers = (), keep_alive: bool, with_body: bool = True) -> bytes:
    """Return the response as bytes; `headers` are its own and those of every response, where there are any."""
    start = (
        f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Error')}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {len(response.body)}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n"
    )
    head = start.encode("latin-1", "replace") + _render_headers(headers or response.headers)
    return head + response.body if with_body else head


# The same few lists of headers, again and again.
@lru_cache(maxsize=100)
def _render_headers(headers: Headers) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{lines}\r\n".encode("latin-1", "replace")
