"""Servers of blocking sockets at chosen addresses, and an HTTP proxy of them: what connections are made can be seen."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_FOR_PROXY = re.compile(rb"^proxy-authorization:[^\r]*\r\n", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass
class Listener:
    """A server; `requests` holds what came, in order."""

    host: str
    port: int
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def requests_on(connection: socket.socket, listener: Listener) -> Iterator[bytes]:
    """Yield each request that comes on a connection, its body included, until the client closes it."""
    pending = b""
    while True:
        while b"\r\n\r\n" not in pending:
            piece = connection.recv(65_536)
            if not piece:
                return
            pending += piece
        head, _, pending = pending.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        while len(pending) < length:
            piece = connection.recv(65_536)
            if not piece:
                return
            pending += piece
        request = head + b"\r\n\r\n" + pending[:length]
        pending = pending[length:]
        listener.requests.append(request)
        yield request


def greet(connection: socket.socket, listener: Listener) -> None:
    """Answer every request."""
    for _ in requests_on(connection, listener):
        connection.sendall(OK)


class _Server:
    """Serves each connection of a listening socket in a thread of its own."""

    def __init__(
        self, door: socket.socket, serve: Callable[[socket.socket, Listener], None], listener: Listener
    ) -> None:
        self._door = door
        self._serve = serve
        self._listener = listener
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def stop(self) -> None:
        """Close every socket and wait for the threads."""
        for one in (self._door, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._door.accept()
                self._listener.connections += 1
                self._open.add(connection)
                self._start(self._handle, connection)

    def _handle(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._serve(connection, self._listener)
        self._open.discard(connection)


@contextmanager
def listening(
    serve: Callable[[socket.socket, Listener], None] = greet, host: str = "127.0.0.1", port: int = 0, path: str = ""
) -> Iterator[Listener]:
    """Serve each connection while the block runs; `path` is that of a Unix socket."""
    family = socket.AF_UNIX if path else socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    door.bind(path or (host, port))
    door.listen(256)
    listener = Listener(host, 0 if path else door.getsockname()[1])
    server = _Server(door, serve, listener)
    try:
        yield listener
    finally:
        server.stop()


@contextmanager
def raw_server(
    answer: Callable[[socket.socket, int], None] | bytes, family: socket.AddressFamily = socket.AF_INET
) -> Iterator[Listener]:
    """Serve while the block runs: bytes are sent to each request, a function gets the socket and a number from 0."""
    numbers = itertools.count()

    def serve(connection: socket.socket, listener: Listener) -> None:
        for _ in requests_on(connection, listener):
            if isinstance(answer, bytes):
                connection.sendall(answer)
            else:
                answer(connection, next(numbers))

    with listening(serve, "::1" if family is socket.AF_INET6 else "127.0.0.1") as listener:
        yield listener


def proxy_of(authorization: bytes = b"") -> Callable[[socket.socket, Listener], None]:
    """Return how a proxy serves: tunnels for CONNECT, forwarding for whole addresses, 407 without the right header."""

    def serve(connection: socket.socket, listener: Listener) -> None:
        upstream: socket.socket | None = None
        for request in requests_on(connection, listener):
            line, _, rest = request.partition(b"\r\n")
            method, target, _ = line.split(b" ")
            if authorization and b"\r\nProxy-Authorization: " + authorization + b"\r\n" not in request:
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                continue
            if method == b"CONNECT":
                host, _, port = target.rpartition(b":")
                with socket.create_connection((host.decode().strip("[]"), int(port))) as server:
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    _pump(connection, server)
                return
            found = re.fullmatch(rb"http://([^/:]+):([0-9]+)(/.*)", target)
            assert found is not None, target
            upstream = upstream or socket.create_connection((found[1].decode(), int(found[2])))
            # What is meant for the proxy is not passed on (RFC 9110, section 11.7.1).
            rest = _FOR_PROXY.sub(b"", rest)
            upstream.sendall(method + b" " + found[3] + b" HTTP/1.1\r\n" + rest)
            connection.sendall(upstream.recv(65_536))
        if upstream is not None:
            upstream.close()

    return serve


def _pump(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join(5)
