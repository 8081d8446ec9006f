"""HTTP/1.1 as scrapers use it: requests without a body, responses with a known length (server.py has the reason)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from perfloop_exporter.errors import ExporterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Bytes of a request line with headers; Prometheus sends some 300.
HEAD_LIMIT = 16 * 1024
END = b"\r\n\r\n"

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
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
    """A parsed request; header names are in lower case, the path is unquoted, the query is not."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    keep_alive: bool


class Response(NamedTuple):
    """A complete response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


def text_response(status: int, text: str) -> Response:
    """Return a plain-text response."""
    return Response(status, text.encode())


def read_head(receive: Callable[[int], bytes], rest: bytes) -> tuple[bytes, bytes]:
    """Read up to the empty line that ends a request's head.

    Args:
        receive: Reads from the connection, like socket.recv.
        rest: Bytes read after the request before.

    Returns:
        The head, and the bytes read after it; both empty when the client has closed the connection.

    Raises:
        BadRequestError: The head is longer than HEAD_LIMIT.
    """
    data = rest
    while END not in data:
        if len(data) > HEAD_LIMIT:
            raise BadRequestError(431, f"the request's head is longer than {HEAD_LIMIT} bytes")
        chunk = receive(HEAD_LIMIT)
        if not chunk:
            return b"", b""
        data += chunk
    head, _, rest = data.partition(END)
    if len(head) > HEAD_LIMIT:
        raise BadRequestError(431, f"the request's head is longer than {HEAD_LIMIT} bytes")
    return head, rest


def parse_request(head: bytes) -> Request:
    """Parse a request's head.

    Raises:
        BadRequestError: It is malformed, or announces a body.
    """
    # Latin-1 decodes every byte, so that malformed input ends as a 400 below.
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004  # method, target, version
        raise BadRequestError(400, "the first line is not `METHOD TARGET HTTP/1.x`")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError(400, "a header line is not `Name: value`")
        headers[name.lower()] = value.strip()
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise BadRequestError(400, "requests with a body are not supported")
    path, _, query = words[1].partition("?")
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" and (words[2] != "HTTP/1.0" or connection == "keep-alive")
    return Request(words[0], unquote(path), query, headers, keep_alive)


def render_response(response: Response, *, keep_alive: bool, with_body: bool = True) -> bytes:
    """Return the response as bytes."""
    lines = [
        f"HTTP/1.1 {response.status} {REASONS[response.status]}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
        *(f"{name}: {value}" for name, value in response.headers),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1") + (response.body if with_body else b"")
