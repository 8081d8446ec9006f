"""Deadlines, limits and scarce resources of the web server, on raw sockets with short times."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import bcrypt
import pytest

from perfloop_base.web.gate import Gate
from perfloop_base.web.limits import Limits
from perfloop_exporter.web.guard import Guard
from perfloop_exporter.web.messages import Request, Response, text_response
from perfloop_exporter.web.server import Server, Statistics

from .test_gate import make_certificate, needs_openssl

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from pathlib import Path

SHORT = Limits(head_seconds=0.6, idle_seconds=0.6, patience_seconds=0.6, slowest_bytes_per_second=1e9)
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Application:
    """Answers every path with itself, `/slow` after the event is set, `/large` with 32 MiB."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.answered = 0

    def answer(self, request: Request) -> Response:
        """Return the response."""
        self.answered += 1
        if request.path == "/slow":
            self.go_on.wait(30)
        if request.path == "/raise":
            raise MemoryError
        return Response(200, bytes(32 << 20)) if request.path == "/large" else text_response(200, f"{request.path}\n")

    def is_quick(self, request: Request) -> bool:
        """Return whether the request is not for one of the others."""
        return request.path == "/"

    def share_key(self, request: Request) -> Hashable:
        """Return that requests for /shared have one response."""
        return request.path if request.path in {"/slow", "/shared"} else None


class Running:
    """A server on a free port."""

    def __init__(self, limits: Limits, guard: Guard, listener: socket.socket) -> None:
        self.application = Application()
        self.statistics = Statistics()
        self.address = listener.getsockname()
        self.server = Server([listener], self.application, guard, limits, self.statistics)
        self._stack = ExitStack()

    def connect(self, data: bytes = b"") -> socket.socket:
        """Return a connection that has sent some bytes, closed with the server."""
        client = self._stack.enter_context(socket.create_connection(self.address, timeout=10))
        client.sendall(data)
        return client

    def ask(self, path: str = "/", extra: str = "") -> bytes:
        """Return the response to a request on a connection of its own."""
        client = self.connect(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{extra}Connection: close\r\n\r\n".encode())
        return read_all(client)

    def close(self) -> None:
        """Stop it."""
        self.application.go_on.set()
        self._stack.close()
        self.server.stop(1)


def read_all(client: socket.socket) -> bytes:
    """Return what is sent until the connection is closed; a reset is an end, too."""
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@contextmanager
def running(
    limits: Limits = SHORT, guard: Guard | None = None, listener: socket.socket | None = None
) -> Iterator[Running]:
    """Run a server."""
    listener = listener or socket.create_server(("127.0.0.1", 0))
    made = Running(limits, guard or Guard(), listener)
    made.server.start()
    try:
        yield made
    finally:
        made.close()


def seconds_until_closed(client: socket.socket) -> float:
    """Return how long the server keeps the connection."""
    begin = time.monotonic()
    read_all(client)
    return time.monotonic() - begin


@pytest.mark.parametrize("data", [b"", b"GET / HT", HEAD[:-2], HEAD + b"G"], ids=["silent", "line", "head", "second"])
def test_a_head_has_a_deadline(data: bytes):
    """From the accept, and from the first byte after a response."""
    with running() as server:
        assert 0.4 < seconds_until_closed(server.connect(data)) < 5
        assert server.statistics.dropped == {"deadline": 1, "limit": 0}


def test_the_deadline_of_a_head_is_that_of_all_its_bytes():
    """A byte now and then does not prolong it."""
    with running() as server:
        client = server.connect(b"GET / HTTP/1.1\r\nX-Filler: ")
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < 10:
                client.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - begin < 5


def test_an_idle_connection_is_closed():
    """It has had its response before."""
    with running() as server:
        client = server.connect(HEAD)
        assert 0.4 < seconds_until_closed(client) < 5


def test_a_reader_has_a_deadline():
    """One that does not take its response is closed, and others are served meanwhile."""
    with running() as server:
        client = server.connect(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(3):
            assert server.ask().endswith(b"/\n")
            time.sleep(0.1)
        time.sleep(1.5)
        assert len(read_all(client)) < 32 << 20


def test_a_reader_that_reads_gets_everything():
    """Also a response that no buffer holds."""
    with running() as server:
        head, _, body = server.ask("/large").partition(b"\r\n\r\n")
        assert b" 200 " in head
        assert len(body) == 32 << 20


def test_unread_responses_are_bounded_together():
    """Beyond the limit of bytes the slowest goes, long before its own deadline."""
    with running(Limits(unsent_bytes=40 << 20)) as server:
        first = server.connect(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert first.recv(1)  # its response is on its way before the other is asked for
        second = server.connect(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        end = time.monotonic() + 20
        while not server.statistics.dropped["limit"] and time.monotonic() < end:
            time.sleep(0.05)
        assert len(read_all(first)) < 32 << 20
        assert server.statistics.dropped == {"deadline": 0, "limit": 1}
        second.close()


@needs_openssl
def test_a_handshake_has_a_deadline(tmp_path: Path):
    """A client that says nothing, or not all of it, is closed; others are served over TLS meanwhile."""
    make_certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    with running(guard=Guard(Gate(str(tmp_path / "web.yml")))) as server:
        stalled = [server.connect(data) for data in (b"", b"\x16\x03\x01\x02\x00\x01") for _ in range(20)]
        context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
        with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as client:
            client.sendall(HEAD + HEAD)
            time.sleep(0.2)
            assert client.recv(65536).count(b" 200 ") >= 1
        assert all(seconds_until_closed(client) < 5 for client in stalled)


def test_the_one_that_has_waited_longest_goes_first():
    """Beyond the limit of connections; the newest are served."""
    with running(Limits(connections=4)) as server:
        clients = [server.connect(b"GET" if number else b"") for number in range(4)]
        time.sleep(0.1)
        clients[0].sendall(HEAD)
        assert clients[0].recv(65536)  # and it is idle now, for less time than the others wait
        assert server.ask().endswith(b"/\n")
        assert read_all(clients[1]) == b""
        clients[2].sendall(HEAD[3:])
        assert clients[2].recv(65536)


def test_requests_that_wait_are_not_closed_for_others():
    """With every connection in use by a request, a further one is refused instead."""
    with running(Limits(connections=3)) as server:
        waiting = [
            server.connect(f"GET /slow?{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            for number in range(3)
        ]
        time.sleep(0.3)
        assert server.ask() == b""
        server.application.go_on.set()
        assert all(b" 200 " in read_all(client) for client in waiting)


def test_slow_answers_leave_a_thread_for_the_others():
    """However many requests hang, pages are served, and those that waited for the same have the same response."""
    with running(Limits()) as server:
        hanging = [server.connect(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(40)]
        time.sleep(0.3)
        begin = time.monotonic()
        assert server.ask().endswith(b"/\n")
        assert time.monotonic() - begin < 2
        server.application.go_on.set()
        assert all(read_all(client).endswith(b"/slow\n") for client in hanging)
        assert server.application.answered < 20


def test_requests_in_a_row_are_answered_in_order():
    """Also when they arrive all at once."""
    with running() as server:
        client = server.connect(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(50)))
        client.shutdown(socket.SHUT_WR)
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in read_all(client).split(b"HTTP/1.1 200 OK")[1:]]
        assert bodies == [b"/%d\n" % number for number in range(50)]


class FailingListener(socket.socket):
    """A listener whose next accepts fail."""

    errors: tuple[int, ...] = ()

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, or accept."""
        if self.errors:
            number, *rest = self.errors
            self.errors = tuple(rest)
            raise OSError(number, errno.errorcode[number])
        return super().accept()


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED, errno.EPERM]
)
def test_failing_accepts_end_nothing(number: int, caplog: pytest.LogCaptureFixture):
    """The server goes on, and says so once."""
    listener = FailingListener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.errors = (number,) * 5
    with running(listener=listener) as server:
        assert server.ask().endswith(b"/\n")
        assert server.ask().endswith(b"/\n")
    assert caplog.text.count("cannot accept") <= 1


def test_it_goes_on_with_the_threads_there_are(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """One thread serves everybody, in turns, when no second one can be started."""
    start = threading.Thread.start
    started: list[str] = []

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("serve") and started:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with running() as server:
        server.connect(b"GET")
        with ThreadPoolExecutor(8) as pool:
            assert all(answer.endswith(b"/shared\n") for answer in pool.map(server.ask, ["/shared"] * 40))
    assert caplog.text.count("cannot start a thread") == 1


def test_an_answer_that_fails_is_a_500():
    """Also with an error of the machine; the next request on the connection is served."""
    with running() as server:
        client = server.connect(b"GET /raise HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD)
        client.shutdown(socket.SHUT_WR)
        text = read_all(client)
        assert b" 500 " in text
        assert text.endswith(b"/\n")


def test_guesses_of_passwords_delay_nobody_who_is_known(tmp_path: Path):
    """Each takes as long as bcrypt takes; the one whose password was checked before does not wait for them."""
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{a: {hashed}}}\n")
    with running(Limits(), Guard(Gate(str(tmp_path / "web.yml")))) as server:
        known = "Authorization: Basic YTpzZWNyZXQ=\r\n"
        assert b" 200 " in server.ask("/x", known)
        guesses = [
            server.connect(f"GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTp{letter}\r\n\r\n".encode())
            for letter in (f"4MTA{number}" for number in range(10) for _ in range(4))
        ]
        begin = time.monotonic()
        assert b" 200 " in server.ask("/x", known)
        assert time.monotonic() - begin < 1.5
        assert all(client.recv(65536).startswith(b"HTTP/1.1 401") for client in guesses[:3])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", b"200"),
        ("[::1]:19100", b"200"),
        ("exporter", b"200"),
        ("rebound.example.org", b"421"),
        ("a b", b"400"),
        ("x\r\nHost: y", b"400"),
    ],
)
def test_the_host_is_checked(host: str, status: bytes):
    """A name that a stranger can own is refused, and every response has the security headers."""
    with running() as server:
        text = read_all(server.connect(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()))
        assert text.split(b" ")[1] == status
        assert b"X-Content-Type-Options: nosniff\r\n" in text
        assert b"Content-Security-Policy: default-src 'none'" in text


def test_http_1_1_needs_a_host_and_1_0_does_not():
    """No browser sends HTTP/1.0."""
    with running() as server:
        for version, status in ((b"1.1", b"400"), (b"1.0", b"200")):
            client = server.connect(b"GET / HTTP/%s\r\nConnection: close\r\n\r\n" % version)
            assert read_all(client).split(b" ")[1] == status
