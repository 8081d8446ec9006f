"""The second engine against the same servers: no answer ends a lane, a run or the process; and TLS that breaks off."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen import outcomes as names
from tests.loadgen.engines.test_bad_answers import certificate as certificate  # noqa: PLC0414 - a fixture
from tests.loadgen.engines.test_hostile_answers import ANSWERS, BODIES, ENDLESS, OK, outcomes, run
from tests.support.connections import Listener, listening, requests_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KNOWN = set(names.MEANINGS)


@pytest.mark.parametrize(
    "name", ["17 interim answers", "a header of 70 KB", "a length of 5,000 digits", *list(ANSWERS)[6::6]]
)
def test_each_answer_has_a_name(raw_server: Any, name: str):
    """What h11 makes of it is counted under a known name, and the run ends on time."""
    with raw_server(ANSWERS[name][0]) as server:
        found = outcomes(server.url, engine="httpx")
    assert found
    assert found <= KNOWN


@pytest.mark.parametrize("name", ENDLESS)
def test_no_endless_answer_outlasts_the_run(raw_server: Any, name: str):
    """Four users, each with an answer that never ends."""
    answer, endpoint, _ = ENDLESS[name]
    with raw_server(answer) as server:
        found = outcomes(server.url, endpoints=[endpoint], concurrent_users=4, max_body_bytes=1_000_000, engine="httpx")
    assert found
    assert "ok" not in found
    assert found <= KNOWN


@pytest.mark.parametrize("name", BODIES)
def test_a_check_survives_each_body(raw_server: Any, name: str):
    """As with the first engine."""
    body, outcome = BODIES[name]
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)) as server:
        endpoints = [{"path": "/", "checks": [{"json": "id"}]}]
        assert outcomes(server.url, endpoints=endpoints, engine="httpx") == {outcome}


def test_no_cookie_is_kept():
    """Fifty cookies an answer: none is sent back, and no header is sent that the first engine would not send."""
    with listening(_with_cookies) as server:
        for engine in ("http1", "httpx"):
            outcomes(server.url, engine=engine)
            sent = server.requests[-1]
            assert b"cookie" not in sent.lower()
        assert server.requests[0] == server.requests[-1]


def _with_cookies(connection: socket.socket, listener: Listener) -> None:
    for number, _ in enumerate(requests_on(connection, listener)):
        cookies = b"".join(b"Set-Cookie: c%d-%d=%s\r\n" % (number, one, b"x" * 40) for one in range(50))
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + cookies + b"Content-Length: 2\r\n\r\nok")


@contextmanager
def tls_server(certificate: Path, behave: Callable[[socket.socket, ssl.SSLContext], None]) -> Iterator[str]:
    """Accept connections, each in a thread that does what `behave` says with the bare socket."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection, context)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _reset(connection: socket.socket, _: ssl.SSLContext) -> None:
    connection.recv(100)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang_up(connection: socket.socket, _: ssl.SSLContext) -> None:
    connection.recv(65_536)


def _begin_and_hang_up(connection: socket.socket, _: ssl.SSLContext) -> None:
    connection.recv(65_536)
    # The first bytes of a handshake record that is never finished.
    connection.sendall(b"\x16\x03\x03\x10\x00\x02")


def _alert(connection: socket.socket, _: ssl.SSLContext) -> None:
    connection.recv(65_536)
    connection.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # handshake_failure
    connection.recv(65_536)


def _garbage_after(connection: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(connection, server_side=True) as wrapped:
        wrapped.recv(65_536)
        wrapped.sendall(OK[:20])
        # Plain text where a record belongs.
        bare = wrapped.detach()
        with socket.socket(fileno=bare) as plain:
            plain.sendall(b"HTTP/1.1 200 OK, in the clear\r\n" * 3)
            plain.recv(100)


def _cut_off(connection: socket.socket, context: ssl.SSLContext) -> None:
    with context.wrap_socket(connection, server_side=True) as wrapped:
        wrapped.recv(65_536)
        wrapped.sendall(OK[:20])
        # Without TLS's own farewell.
        with socket.socket(fileno=wrapped.detach()) as plain:
            plain.shutdown(socket.SHUT_RDWR)


TLS = {
    "a reset": (_reset, {"connection_reset", "tls_failed"}),
    "a hang-up": (_hang_up, {"connection_reset", "tls_failed", "connect_failed"}),
    "a hang-up within a record": (_begin_and_hang_up, {"connection_reset", "tls_failed", "connect_failed"}),
    "an alert": (_alert, {"tls_failed"}),
    "plain text after the handshake": (_garbage_after, {"tls_failed", "closed_mid_answer", "connection_reset"}),
    "the end of the connection without TLS's own": (
        _cut_off,
        {"closed_mid_answer", "closed_before_answer", "connection_reset"},
    ),
}


@pytest.mark.parametrize("engine", ["http1", "httpx"])
@pytest.mark.parametrize("name", TLS)
def test_tls_that_breaks_off_has_a_name(certificate: Path, name: str, engine: str):
    """In the handshake and after it: a failure with its name, within the run's time."""
    behave, expected = TLS[name]
    with tls_server(certificate, behave) as url:
        summary, took = run(url, tls={"verify": False}, engine=engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # asyncio's own transports, which httpx does not close when a handshake fails
        gc.collect()
    assert took < 10
    assert set(summary.outcomes) <= expected
