"""A server of plain blocking sockets, in threads of its own: it floods a generator without sharing its event loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket, int], None]


class RawServer:
    """Reads a request's head, then lets `answer` do what it likes with the socket; requests are numbered from 0."""

    def __init__(self, answer: Answer, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._answer = answer
        self._listener = socket.socket(family)
        self._listener.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(64)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._requests = 0
        self.connections = 0
        host = "[::1]" if family is socket.AF_INET6 else "127.0.0.1"
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        """Accept connections in a thread."""
        self._spawn(self._accept)

    def stop(self) -> None:
        """Close every socket and wait for the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, run: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    part = connection.recv(65_536)
                    if not part:
                        return
                    pending += part
                pending = pending.partition(b"\r\n\r\n")[2]
                with self._lock:
                    number, self._requests = self._requests, self._requests + 1
                self._answer(connection, number)
        with self._lock:
            self._open.discard(connection)


@contextmanager
def raw_server(answer: Answer | bytes, family: socket.AddressFamily = socket.AF_INET) -> Iterator[RawServer]:
    """Serve while the block runs; bytes are sent as they are to each request."""
    server = RawServer(
        (lambda connection, _: connection.sendall(answer)) if isinstance(answer, bytes) else answer, family
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()
