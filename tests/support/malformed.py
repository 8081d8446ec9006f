"""Malformed and odd HTTP requests without end, the same for the same seed."""

from __future__ import annotations

import json
import random
import socket
from typing import TYPE_CHECKING, NamedTuple

from tests.support.servers import parse_answer, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.servers import HttpServer

_SECONDS = 30.0
# A status of no program: none came in that time.
NO_ANSWER = 599
_WORDS = (
    "messages",
    "model",
    "content",
    "query",
    "limit",
    "image",
    "max_side",
    "slack",
    "slow_queries",
    "errors",
    "name",
)
_TARGETS = (
    "%",
    "%zz",
    "%ff%fe",
    "%00",
    "%c0%ae%c0%ae/",
    "%u0041",
    "%0d%0aX: y",
    "//",
    "/../../etc/passwd",
    "\\",
    "?",
    "#",
)
_HOSTS = ("", "evil.example", "a@localhost", "localhost:99999", "[::1", "::1", "localhost, evil.example", "é", "*", " ")
_LENGTHS = ("-1", "+5", "0x10", "1e3", "5, 5", "5, 6", "99999999999999999999", "", " ", "five", "1_000")
_CODINGS = ("gzip", "chunked, chunked", "identity", "chunked;q=1", "xchunked", "chunked\x0b", "CHUNKED, gzip", "")
_CHUNKS = (
    b"zz\r\n",
    b"-1\r\n",
    b"ffffffffffffffffff\r\n",
    b"5\r\nab",
    b"0\r\nbad trailer\r\n\r\n",
    b"1;ext\r\nx\r\n\r\n",
    b"\r\n",
)
_TYPES = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "*/*",
    "a;b=c;",
    "é",
)
# Nothing that a program would take as a setting of its own: no small number, no true.
_VALUES: tuple[object, ...] = (
    *(
        None,
        -1,
        10**400,
        -(10**30),
        1e308,
        -0.5,
        float("nan"),
        float("inf"),
        "",
        "\ud800",
        "\x00",
        "x" * 5000,
        "\u202e",
    ),
    *([], {}, [[]], {"": {}}, [None] * 50, {"a" * 300: 1}),
)


class Case(NamedTuple):
    """One request; its connection is of no use behind it unless it can be kept."""

    kind: str
    data: bytes
    can_be_kept: bool = False


def cases(seed: int, method: str, path: str) -> Iterator[Case]:
    """Yield requests to one endpoint, without end."""
    dice = random.Random(f"{seed} {method} {path}")
    makers = tuple(_MAKERS.items())
    while True:
        kind, make = dice.choice(makers)
        yield make(dice, method, path)._replace(kind=kind)


def send(server: HttpServer, stream: Iterator[Case], count: int) -> Iterator[tuple[Case, int]]:
    """Send requests one after the other, and yield each with its status; 0 where the connection was closed."""
    connection: socket.socket | None = None
    for _ in range(count):
        case = next(stream)
        connection = connection or server.connect(_SECONDS)
        try:
            connection.sendall(case.data)
            if case.can_be_kept:
                status, kept = _read_one(connection)
            else:
                connection.shutdown(socket.SHUT_WR)
                status, kept = parse_answer(read_all(connection)).status, False
        except TimeoutError:
            status, kept = NO_ANSWER, False
        except OSError:  # closed by the program, in one of several ways
            status, kept = 0, False
        if not kept:
            connection.close()
            connection = None
        yield case, status
    if connection is not None:
        connection.close()


def _read_one(connection: socket.socket) -> tuple[int, bool]:
    """Return the status of one response with a known length, and whether another can follow."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            return parse_answer(received).status, False
        received += chunk
    answer = parse_answer(received)
    if "content-length" not in answer.headers:
        read_all(connection)
        return answer.status, False
    left = int(answer.headers["content-length"]) - len(answer.body)
    while left > 0:
        chunk = connection.recv(65_536)
        if not chunk:
            return answer.status, False
        left -= len(chunk)
    return answer.status, answer.headers.get("connection") != "close"


def _render(method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "\r\n"]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + body


_HOST = (("Host", "localhost"),)
_JSON = (("Content-Type", "application/json"),)


def _length(body: bytes) -> tuple[tuple[str, str], ...]:
    return (("Content-Length", str(len(body))),)


def _truncated(dice: random.Random, method: str, path: str) -> Case:
    body = b'{"a": 1}'
    whole = _render(method, path, (*_HOST, *_JSON, *_length(body)), body)
    return Case("", whole[: dice.randrange(len(whole) - 1)])


def _garbage(dice: random.Random, method: str, path: str) -> Case:
    del method, path
    return Case("", dice.randbytes(dice.choice((1, 10, 200))) + dice.choice((b"", b"\r\n\r\n", b"\n\n")))


def _large_head(dice: random.Random, method: str, path: str) -> Case:
    size = dice.choice((2_000, 20_000, 70_000)) if dice.random() < 0.1 else 500
    name = dice.choice(("Cookie", "X" * size, "Referer"))
    target = path + "?" + "a" * dice.choice((0, size))
    return Case("", _render(method, target, (*_HOST, (name, "b" * size), *[("A", "b")] * dice.choice((0, 150)))))


def _bad_target(dice: random.Random, method: str, path: str) -> Case:
    odd = "".join(dice.choice(_TARGETS) for _ in range(dice.randrange(1, 4)))
    target = dice.choice((path + odd, odd + path, f"{path}?{odd}={odd}", f"http://{odd}{path}", odd, f"{path} {odd}"))
    is_whole = method == "GET" and " " not in target and "\\" not in target
    return Case("", _render(method, target, _HOST), is_whole)


def _bad_query(dice: random.Random, method: str, path: str) -> Case:
    name = dice.choice(("limit", "state", "channel", "status", "standing", "collect[]", "exclude[]", "name[]", "x"))
    value = dice.choice(("-1", "9" * 400, "1e999", "NaN", "%ED%A0%80", "true", "'--", "%00", "[]", "x" * 3000, ""))
    return Case("", _render(method, f"{path}?{name}={value}&{name}={value}", _HOST), method == "GET")


def _bad_framing(dice: random.Random, method: str, path: str) -> Case:
    kind = dice.randrange(4)
    if kind == 0:
        headers = (("Content-Length", dice.choice(_LENGTHS)),) * dice.choice((1, 2))
    elif kind == 1:
        headers = (("Transfer-Encoding", dice.choice(_CODINGS)),)
    elif kind == 2:
        headers = (("Content-Length", "4"), ("Transfer-Encoding", "chunked"))
    else:
        return Case("", _render(method, path, (*_HOST, *_JSON, ("Transfer-Encoding", "chunked")), dice.choice(_CHUNKS)))
    return Case("", _render(method, path, (*_HOST, *_JSON, *headers), b"0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n"))


def _bad_lines(dice: random.Random, method: str, path: str) -> Case:
    first = dice.choice(
        (f"{method} {path}", f"{method} {path} HTTP/9.9", f"{method}  {path} HTTP/1.1", "PRI * HTTP/2.0")
    )
    line = dice.choice(
        ("Host : x", "no colon", ": x", "A: b\r\n folded", "A: \x00", "A: \x1b[31m", "Host: x\nB: c", "é: é")
    )
    end = dice.choice(("\r\n\r\n", "\n\n", "\r\r", ""))
    return Case("", f"{first}\r\nHost: localhost\r\n{line}{end}".encode())


def _bad_method(dice: random.Random, method: str, path: str) -> Case:
    word = dice.choice(
        ("get", "GETX", "TRACE", "CONNECT", "OPTIONS", "PATCH", "PROPFIND", "QUERY", "G" * 200, "DELETE")
    )
    del method
    return Case("", _render(word, path, (*_HOST, *_JSON)))


def _bad_host(dice: random.Random, method: str, path: str) -> Case:
    hosts = tuple(("Host", dice.choice(_HOSTS)) for _ in range(dice.randrange(3)))
    return Case("", _render(method, path, (*hosts, *_JSON)))


def _bad_json(dice: random.Random, method: str, path: str) -> Case:
    if dice.random() < 0.5:
        fields = {dice.choice(_WORDS): dice.choice(_VALUES) for _ in range(dice.randrange(1, 4))}
        body = json.dumps(dice.choice((fields, [fields], {"payload": fields}, dice.choice(_VALUES)))).encode()
    else:
        texts = (
            b"{",
            b'{"a":',
            b"[" * 3000,
            b'{"a":' * 2000,
            b"\xef\xbb\xbf{}",
            b"\xff\xfe{\x00",
            b"nul",
            b"{'a': 1}",
            b"",
        )
        body = dice.choice((*texts, b'{"limit": 1e9999}', b'{"a": "\\ud800"}', b'"', b"9" * 6000))
    verb = method if method != "GET" else "POST"
    return Case("", _render(verb, path, (*_HOST, *_JSON, *_length(body)), body), can_be_kept=True)


def _bad_headers(dice: random.Random, method: str, path: str) -> Case:
    body = b"a=b"
    odd = (
        ("Content-Type", dice.choice(_TYPES)),
        ("Authorization", dice.choice(("Basic", "Basic é", "Basic ====", "Bearer " + "x" * 500, "Digest a", ""))),
        ("Origin", dice.choice(("null", "http://evil.example", "é", "http://[", "file://"))),
        ("X-Prometheus-Scrape-Timeout-Seconds", dice.choice(("-1", "nan", "1e400", "x", ""))),
        ("Accept-Encoding", dice.choice(("gzip;q=x", "*;q=0", "é"))),
        ("Accept", dice.choice(("application/openmetrics-text; version=9.9", "é", ";;;", "x" * 500))),
        ("Upgrade", "websocket"),
        ("Range", "bytes=9-1"),
    )
    chosen = tuple(dice.sample(odd, dice.randrange(1, 4)))
    verb = method if method != "GET" else dice.choice(("GET", "POST"))
    return Case("", _render(verb, path, (*_HOST, *_length(body), *chosen), body))


_MAKERS: dict[str, Callable[[random.Random, str, str], Case]] = {
    "truncated": _truncated,
    "garbage": _garbage,
    "large head": _large_head,
    "target": _bad_target,
    "query": _bad_query,
    "framing": _bad_framing,
    "lines": _bad_lines,
    "method": _bad_method,
    "host": _bad_host,
    "JSON": _bad_json,
    "headers": _bad_headers,
}
