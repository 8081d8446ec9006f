"""Servers that are broken on purpose: each way has its outcome, and the run ends when it was meant to."""

from __future__ import annotations

import gzip
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from perfloop_loadgen import LoadTestConfig, LoadTester

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.summary import Summary

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Beyond its duration and timeout, on a busy machine. Quadratic work took minutes.
LATE_SECONDS = 8.0
# The deadline may come first on a busy machine; it is the one thing that always does.
OUT_OF_TIME = {"timeout", "cut_off"}


def run(url: str, **changes: Any) -> tuple[Summary, float]:
    """Run a short test on uvloop, as the program does; return its summary and how long it took."""
    base = {
        "base_url": url,
        "duration_seconds": 0.3,
        "concurrent_users": 2,
        "timeout_seconds": 1,
        "think_time_seconds": 0.02,
        "endpoints": [{"path": "/"}],
    }
    tester = LoadTester(LoadTestConfig.model_validate(base | changes))
    began = time.monotonic()
    return uvloop.run(tester.run_load_test()), time.monotonic() - began


def outcomes(url: str, **changes: Any) -> set[str]:
    """Return the outcomes of a run, which must have ended on time."""
    summary, took = run(url, **changes)
    assert took < 0.3 + changes.get("timeout_seconds", 1) + LATE_SECONDS
    return set(summary.outcomes)


def _header(value: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + value + b"\r\nContent-Length: 2\r\n\r\nok"


def _chunk(size: bytes) -> bytes:
    return CHUNKED + size + b"\r\nabcde\r\n0\r\n\r\n"


ANSWERS = {
    "16 interim answers": (CONTINUE * 16 + OK, "ok"),
    "17 interim answers": (CONTINUE * 17 + OK, "endless_interim"),
    "interim answers beyond any recursion": (CONTINUE * 20_000, "endless_interim"),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, "ok"),
    "a protocol that was not asked for": (b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n\x81\x05hello", "wrong_status"),
    "a header of 70 KB": (_header(b"X: " + b"y" * 70_000), "endless_headers"),
    "a header without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000, "endless_headers"),
    "a length of 5,000 digits": (_header(b"Content-Length: " + b"9" * 5000), "bad_framing"),
    "a length of 20 digits": (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 20 + b"\r\n\r\n", "bad_framing"),
    "two equal lengths in one field": (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok", "ok"),
    "a length with a sign": (b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "bad_framing"),
    "a space before the colon": (b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", "ok"),
    "NUL in a header": (_header(b"X: a\0b"), "not_http"),
    "a lone CR in a header": (_header(b"X: a\rContent-Length: 7"), "not_http"),
    # A line may end with LF alone: here there are two lengths.
    "a lone LF in a header": (_header(b"X: a\nContent-Length: 7"), "bad_framing"),
    "lines that end with LF": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok"),
    "a folded line": (_header(b"X: a\r\n b"), "ok"),
    "a status of four digits": (OK.replace(b"200", b"2000"), "not_http"),
    "a status below 100": (OK.replace(b"200", b"099"), "not_http"),
    "bytes that are no text": (_header(b"X: \xff\xfe\x80"), "ok"),
    "both framings": (CHUNKED.replace(b"OK\r\n", b"OK\r\nContent-Length: 1\r\n") + b"2\r\nok\r\n0\r\n\r\n", "ok"),
    "chunked twice": (CHUNKED.replace(b"chunked", b"chunked, chunked") + b"0\r\n\r\n", "bad_framing"),
    "a chunk of size -5": (_chunk(b"-5"), "bad_framing"),
    "a chunk of size +5": (_chunk(b"+5"), "bad_framing"),
    "a chunk of size 0x5": (_chunk(b"0x5"), "bad_framing"),
    "a chunk of two sizes": (_chunk(b"5 5"), "bad_framing"),
    "a chunk without a size": (_chunk(b""), "bad_framing"),
    "a chunk of 17 digits": (_chunk(b"1" * 17), "bad_framing"),
    "a chunk of 4 million digits": (_chunk(b"1" * 4_000_000), "bad_framing"),
    "a chunk extension of 5 KB": (_chunk(b"5;" + b"x" * 5000), "bad_framing"),
    "a chunk that ends with LF CR": (CHUNKED + b"2\r\nok\n\r0\r\n\r\n", "bad_framing"),
    "a chunk size that ends with LF": (CHUNKED + b"2\nok\r\n0\r\n\r\n", "bad_framing"),
    "trailers without end": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 20_000, "endless_headers"),
    "a trailer that is none": (CHUNKED + b"0\r\nbroken\r\n\r\n", "bad_framing"),
    "a second answer": (OK + OK, "excess_bytes"),
    "a second answer behind chunks": (_chunk(b"5") + OK, "excess_bytes"),
    "a second answer behind none": (b"HTTP/1.1 204 No Content\r\n\r\n" + OK, "excess_bytes"),
    "a redirect to itself": (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "redirect"),
    "2,000 cookies": (b"HTTP/1.1 200 OK\r\n" + b"Set-Cookie: a=b\r\n" * 2000 + OK[17:], "ok"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_has_its_name(raw_server: Any, name: str):
    """An answer of this kind is counted under exactly this outcome."""
    answer, outcome = ANSWERS[name]
    with raw_server(answer) as server:
        assert outcomes(server.url) == {outcome}


def _repeat(first: bytes, block: bytes) -> Callable[[socket.socket, int], None]:
    """Return an answer that never ends."""

    def write(connection: socket.socket, _: int) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(block)

    return write


def _drip(answer: bytes) -> Callable[[socket.socket, int], None]:
    """Return an answer that comes byte by byte, and never to its end."""

    def write(connection: socket.socket, _: int) -> None:
        for byte in answer:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    return write


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
CHECK = [{"body_contains": "never"}]
STREAM = {"path": "/", "stream": True}
ENDLESS: dict[str, tuple[Callable[[socket.socket, int], None], dict[str, Any], set[str]]] = {
    "an event without an end": (_repeat(HEAD, b"x" * 65_536), STREAM, {"event_too_large"}),
    "an event of endless lines": (_repeat(HEAD, (b"data: " + b"x" * 1000 + b"\n") * 64), STREAM, {"event_too_large"}),
    "lines of JSON without an end": (_repeat(HEAD, b'{"a":' * 8192), STREAM, {"event_too_large"}),
    "comments without an end": (_repeat(HEAD, b": x\n" * 16_384), STREAM, OUT_OF_TIME),
    "empty lines without an end": (_repeat(HEAD, b"\n" * 65_536), STREAM, OUT_OF_TIME),
    "the smallest events": (_repeat(HEAD, b"data:x\n\n" * 8192), STREAM, OUT_OF_TIME),
    "events in the smallest chunks": (_repeat(CHUNKED, b"1\r\n\n\r\n" * 8192), STREAM, OUT_OF_TIME),
    "the smallest chunks": (_repeat(CHUNKED, b"1\r\nx\r\n" * 8192), {"path": "/"}, OUT_OF_TIME),
    "a body without a length": (_repeat(HEAD, b"x" * 65_536), {"path": "/"}, OUT_OF_TIME),
    "a body that is looked into": (_repeat(HEAD, b"x" * 65_536), {"path": "/", "checks": CHECK}, {"body_too_large"}),
    "interim answers": (_repeat(b"", CONTINUE * 1000), {"path": "/"}, {"endless_interim"}),
    "headers": (_repeat(HEAD[:-2], b"X: y\r\n" * 1000), {"path": "/"}, {"endless_headers"}),
    "trailers": (_repeat(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000), {"path": "/"}, {"endless_headers"}),
    "a head that drips": (_drip(HEAD[:-2] + b"X: y\r\n" * 100), {"path": "/"}, OUT_OF_TIME),
    "a body that drips": (_drip(OK.replace(b": 2", b": 99") + b"x" * 97), {"path": "/"}, OUT_OF_TIME),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_no_endless_answer_outlasts_the_run(raw_server: Any, name: str):
    """Eight users, each with an answer that never ends: the run ends on time, and the outcome has a name."""
    answer, endpoint, expected = ENDLESS[name]
    with raw_server(answer) as server:
        found = outcomes(server.url, endpoints=[endpoint], concurrent_users=8, max_body_bytes=1_000_000)
    assert found
    assert found <= expected | OUT_OF_TIME


def test_an_answer_that_was_not_asked_for_is_nobodys(raw_server: Any):
    """A server sends a large answer and a second one behind it, in one go: no request takes the second for its own."""
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    with raw_server(lambda connection, _: connection.sendall(large + poison)) as server:
        endpoint = {"path": "/", "checks": [{"body_contains": "poison"}]}
        found = outcomes(server.url, endpoints=[endpoint], think_time_seconds=0)
    assert "ok" not in found


def test_both_framings_end_the_connection(raw_server: Any):
    """The next request is not sent on a connection whose answers may have been split."""
    answer, _ = ANSWERS["both framings"]
    with raw_server(answer) as server:
        summary, _ = run(server.url)
        assert server.connections >= summary.total_requests


@pytest.mark.parametrize("engine", ["http1", "httpx"])
def test_a_compressed_bomb_stays_compressed(raw_server: Any, engine: str):
    """16 MB of zeros in 16 KB: neither engine unpacks what nobody looks at."""
    bomb = gzip.compress(bytes(16_000_000))
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    with raw_server(answer) as server:
        summary, _ = run(server.url, engine=engine)
    assert set(summary.outcomes) == {"ok"}
    assert summary.total.bytes_received < summary.total_requests * 20_000


BODIES = {
    "a lone surrogate": (rb'{"id": "\ud800"}', "ok"),
    "a NUL": (rb'{"id": "a\u0000b"}', "ok"),
    "nested 100,000 deep": (b'{"id": ' + b"[" * 100_000, "check_failed"),
    "nested 100,000 deep and closed": (b'{"id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "check_failed"),
    "a number of 100,000 digits": (b'{"id": ' + b"9" * 100_000 + b"}", "check_failed"),
    "bytes that are no UTF-8": (b'{"id": "\xff\xfe"}', "check_failed"),
    "not JSON": (b"\0\x80\xff", "check_failed"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_check_survives_each_body(raw_server: Any, name: str):
    """A check of a JSON value on what is hardly JSON: it fails or holds, and nothing else happens."""
    body, outcome = BODIES[name]
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as server:
        assert outcomes(server.url, endpoints=[{"path": "/", "checks": [{"json": "id"}]}]) == {outcome}


@pytest.mark.parametrize(
    ("body", "headers", "data", "expected"),
    [
        (rb'{"id": "\ud800"}', {}, {"id": "${id}"}, {"ok"}),
        (rb'{"id": "\ud800"}', {}, "plain ${id} text", {"ok"}),
        (rb'{"id": "a\r\nX-Injected: 1"}', {"X-Id": "${id}"}, None, {"ok", "script_error"}),
        # As UTF-8: RFC 9110, section 5.5, calls such bytes opaque.
        (rb'{"id": "\u4e2d"}', {"X-Id": "${id}"}, None, {"ok"}),
        (rb'{"id": "\ud800"}', {"X-Id": "${id}"}, None, {"ok", "script_error"}),
    ],
    ids=[
        "surrogate in JSON",
        "surrogate in text",
        "line end in a header",
        "Chinese in a header",
        "surrogate in a header",
    ],
)
def test_an_extracted_value_cannot_break_the_next_request(
    serve: Any, body: bytes, headers: dict[str, str], data: Any, expected: set[str]
):
    """It is sent as it came, or the step ends with a script error; never is it a header that nobody wrote."""

    async def go() -> tuple[set[str], list[bytes]]:
        async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as service:
            steps = [
                {"path": "/first", "extract": {"id": "json:id"}},
                {"path": "/${id}", "method": "POST", "headers": headers, "data": data},
            ]
            config = {"base_url": service.url, "duration_seconds": 0.3, "concurrent_users": 1, "timeout_seconds": 1}
            config |= {"think_time_seconds": 0.05, "scenarios": [{"steps": steps}]}
            summary = await LoadTester(LoadTestConfig.model_validate(config)).run_load_test()
            return set(summary.outcomes), service.requests

    found, requests = uvloop.run(go())
    assert found == expected
    assert not any(b"X-Injected" in request.partition(b"\r\n")[2] for request in requests)


def test_a_regex_cannot_stop_the_loop(raw_server: Any):
    """Exponential on this answer: 20 users lose a fraction of a second together, and the outcome says why."""
    body = b"a" * 60 + b"!"
    steps = [{"path": "/", "extract": {"word": "regex:^(a|aa)+$"}}, {"path": "/${word}"}]
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as server:
        found = outcomes(server.url, scenarios=[{"steps": steps}], concurrent_users=20)
    assert found == {"ok", "pattern_too_slow"}


def _reset(connection: socket.socket, _: int) -> None:
    connection.sendall(HEAD + b"begun")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_reset_in_the_middle_has_its_name(raw_server: Any):
    """After the head, in the middle of the body."""
    with raw_server(_reset) as server:
        assert outcomes(server.url) == {"connection_reset"}


def test_ipv6_alone(raw_server: Any):
    """A service that has no IPv4 address."""
    with raw_server(OK, socket.AF_INET6) as server:
        assert outcomes(server.url) == {"ok"}
