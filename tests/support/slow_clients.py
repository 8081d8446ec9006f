"""Clients that take a server's connections and time: many, on one thread, all in the same way."""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

# What each kind sends: nothing; a head, a byte at a time; a request whose response it does not read; a request.
KINDS = ("silent", "senders", "readers", "keepalives")
HEAD = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# A byte to each sender, and a new connection for each that was closed, once per pause.
PAUSE_SECONDS = 0.5
# New connections per pause: a flood beyond it would measure the machine's capacity instead.
NEW = 1000
_SMALL_BUFFER = 4096


def allow_descriptors(number: int) -> bool:
    """Raise this process's limit of descriptors as far as needed; return whether it is enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        soft = min(number, hard) if hard != resource.RLIM_INFINITY else number
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft >= number


class SlowClients:
    """`number` clients of one kind, which connect again when they are closed, until the block ends."""

    def __init__(self, address: tuple[str, int], kind: str, number: int) -> None:
        self.address, self.kind, self.number = address, kind, number
        self.closed = 0
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, int] = {}  # with the number of bytes that were sent
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        end = time.monotonic() + 10
        while len(self._open) + self.closed < self.number and time.monotonic() < end:
            time.sleep(0.05)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for client in list(self._open):
            client.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for _ in range(min(NEW, self.number - len(self._open))):
                self._connect()
            end = time.monotonic() + PAUSE_SECONDS
            while time.monotonic() < end and not self._ended.is_set():
                self._look(end - time.monotonic())
            if self.kind == "senders":
                for client, sent in list(self._open.items()):
                    self._send(client, HEAD[sent % len(HEAD) :][:1])

    def _connect(self) -> None:
        client = socket.socket()
        client.setblocking(False)  # noqa: FBT003  # the one argument there is
        if self.kind == "readers":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        with contextlib.suppress(BlockingIOError):
            client.connect(self.address)
        self._open[client] = 0
        self._selector.register(client, selectors.EVENT_WRITE)

    def _look(self, timeout: float) -> None:
        for key, events in self._selector.select(max(timeout, 0)):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            if events & selectors.EVENT_WRITE:  # it is connected
                # What a reader gets is left unread, so that only being closed is of interest.
                self._selector.modify(client, selectors.EVENT_READ)
                self._send(client, {"readers": HEAD + b"\r\n", "keepalives": PAGE}.get(self.kind, b""))
            elif self.kind == "readers":
                self._selector.unregister(client)
            else:
                self._receive(client)

    def _receive(self, client: socket.socket) -> None:
        try:
            if client.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(client)

    def _send(self, client: socket.socket, data: bytes) -> None:
        try:
            if data:
                self._open[client] += client.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        self.closed += 1
        del self._open[client]
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client)
        client.close()
