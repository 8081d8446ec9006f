"""Connections that the server closes while they are idle: none of its users would see an error, nor does a run."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from perfloop_loadgen.engines.idle import IdleLimit
from tests.loadgen.engines.test_bad_answers import certificate as certificate  # noqa: PLC0414 - a fixture
from tests.loadgen.engines.test_hostile_answers import run
from tests.support.connections import OK, Listener, listening, requests_on
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfloop_loadgen.summary import Summary

ENGINES = pytest.mark.parametrize("engine", ["http1", "httpx"])
SECOND = 1_000_000_000


def _test(url: str, method: str = "GET", **changes: Any) -> Summary:
    endpoints = [{"path": "/", "method": method, **changes.pop("endpoint", {})}]
    return run(url, endpoints=endpoints, **changes)[0]


def _closes_second(how: Callable[[socket.socket], None]) -> Callable[[socket.socket, Listener], None]:
    """Answer the first request of a connection, and do `how` with the second."""

    def serve(connection: socket.socket, listener: Listener) -> None:
        for number, _ in enumerate(requests_on(connection, listener)):
            if number:
                how(connection)
                return
            connection.sendall(OK)

    return serve


def _close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@ENGINES
@pytest.mark.parametrize("how", [_close, _reset])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_an_idempotent_request_is_sent_again_on_a_fresh_connection(
    engine: str, how: Callable[[socket.socket], None], method: str
):
    """RFC 9112, section 9.3.1: every second request meets a closed connection; none fails, each is counted apart."""
    with listening(_closes_second(how)) as server:
        summary = _test(server.url, method, engine=engine)
    assert set(summary.outcomes) == {"ok"}
    assert summary.total.retried > 0
    assert summary.total.retried == len(server.requests) - summary.total_requests


@ENGINES
@pytest.mark.parametrize("how", [_close, _reset])
def test_with_tls_it_is_the_same(certificate: Path, engine: str, how: Callable[[socket.socket], None]):
    """With the end of TLS that the server announces, and without it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    def serve(connection: socket.socket, listener: Listener) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            _closes_second(lambda line: how(line.unwrap() if listener.connections % 2 else line))(wrapped, listener)

    with listening(serve) as server:
        summary = _test(f"https://127.0.0.1:{server.port}", engine=engine, tls={"verify": False})
    assert set(summary.outcomes) == {"ok"}
    assert summary.total.retried > 0


@ENGINES
def test_a_request_that_is_not_idempotent_is_not_sent_again(engine: str):
    """A POST may have had its effect; one with an Idempotency-Key has it once, however often it is sent."""
    with listening(_closes_second(_close)) as server:
        plain = _test(server.url, "POST", engine=engine)
        keyed = _test(server.url, "POST", engine=engine, endpoint={"headers": {"Idempotency-Key": "7"}})
    assert set(plain.outcomes) == {"ok", "closed_before_answer"}
    assert plain.total.retried == 0
    assert set(keyed.outcomes) == {"ok"}
    assert keyed.total.retried > 0


@ENGINES
def test_a_fresh_connection_that_is_closed_is_a_failure(engine: str):
    """It cannot have been idle for too long, so nothing is sent again: a request is sent twice at most."""

    def serve(connection: socket.socket, listener: Listener) -> None:
        next(requests_on(connection, listener))

    with listening(serve) as server:
        summary = _test(server.url, engine=engine)
    assert set(summary.outcomes) == {"closed_before_answer"}
    assert summary.total.retried == 0
    assert len(server.requests) == summary.total_requests


@ENGINES
def test_an_answer_that_has_begun_is_not_asked_for_again(engine: str):
    """One byte of it is enough: the request was seen."""
    with listening(_closes_second(lambda connection: connection.sendall(b"H"))) as server:
        summary = _test(server.url, engine=engine)
    assert set(summary.outcomes) == {"ok", "closed_mid_answer"}
    assert summary.total.retried == 0


class _Timed:
    """A server that closes each connection after `seconds` of idleness, and counts how often it had to."""

    def __init__(self, seconds: float, answer: bytes = OK) -> None:
        self.seconds = seconds
        self.answer = answer
        self.closed = 0

    def serve(self, connection: socket.socket, listener: Listener) -> None:
        connection.settimeout(self.seconds)
        try:
            for _ in requests_on(connection, listener):
                connection.sendall(self.answer)
        except TimeoutError:
            self.closed += 1


@ENGINES
def test_an_announced_limit_is_kept(engine: str):
    """`Keep-Alive: timeout=1` and users who think for a second: no POST meets the server's closing."""
    server = _Timed(1.0, OK.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1, max=100\r\n\r\n"))
    with listening(server.serve) as listener:
        summary = _test(
            listener.url, "POST", engine=engine, concurrent_users=8, think_time_seconds=1.0, duration_seconds=3.5
        )
    assert summary.outcomes == {"ok": summary.total_requests}
    assert summary.total.retried == 0
    assert listener.connections == summary.total_requests


def test_an_observed_limit_is_kept():
    """A server that announces nothing: after a few closings from its side, connections are closed from this side."""
    server = _Timed(0.6)
    with listening(server.serve) as listener:
        summary = _test(listener.url, concurrent_users=6, think_time_seconds=0.9, duration_seconds=4)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert summary.total_requests >= 24
    # Those of the first pause, and of the second for a user whose first request was late.
    assert server.closed <= 2 * 6


@contextmanager
def _uvicorn(keep_alive_seconds: int) -> Iterator[str]:
    async def app(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

    config = uvicorn.Config(app, port=0, timeout_keep_alive=keep_alive_seconds, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started, "uvicorn")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@ENGINES
def test_users_who_think_as_long_as_uvicorn_keeps_a_connection(engine: str):
    """The closing and the next request cross each other, every time: no error."""
    with _uvicorn(1) as url:
        summary = _test(url, engine=engine, concurrent_users=20, think_time_seconds=1, duration_seconds=3.5)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert summary.total_requests >= 60


@ENGINES
def test_a_connection_that_nothing_closes_is_kept(engine: str):
    """A limit that nobody has announced or shown is not made up."""
    with listening() as server:
        summary = _test(server.url, engine=engine, think_time_seconds=0.7, duration_seconds=2.5)
    assert summary.outcomes == {"ok": summary.total_requests}
    assert server.connections == 2
    assert [(one.protocol, one.address, one.count) for one in summary.total.connections] == [
        ("HTTP/1.1", "127.0.0.1", 2)
    ]


def test_closings_after_times_that_agree_are_a_limit():
    """Shortened by a margin; the shorter of an announced and an observed one counts."""
    limit = IdleLimit()
    for idle in (5.0, 5.02, 5.001):
        limit.observe(round(idle * SECOND))
    assert limit.nanoseconds == 0
    limit.observe(round(5.1 * SECOND))
    assert 4 * SECOND < limit.nanoseconds < 5 * SECOND
    limit.announce(60)
    assert limit.nanoseconds < 5 * SECOND
    limit.announce(2)
    assert 1.5 * SECOND < limit.nanoseconds < 2 * SECOND


def test_closings_of_a_restart_are_no_limit():
    """They come after times of any length, or at once."""
    limit = IdleLimit()
    chance = random.Random(7)
    for _ in range(30):
        limit.observe(round(chance.uniform(0, 30) * SECOND))
        limit.observe(1000)
    assert limit.nanoseconds == 0
