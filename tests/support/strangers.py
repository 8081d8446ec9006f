"""Slow clients on raw sockets, as many as one wants."""

from __future__ import annotations

import resource
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What each connection sends at first, and what every three seconds from then on; nothing is ever read.
ATTACKS = {
    "nothing sent": (b"", b""),
    "a byte now and then": (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ", b"y"),
    "half a body": (
        b"POST /heartbeat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n",
        b"{",
    ),
    "nothing taken": (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8, b""),
}
_INTERVAL_SECONDS = 3.0


@contextmanager
def strangers(address: tuple[str, int], attack: str, count: int) -> Iterator[None]:
    """Keep slow connections for the length of a block."""
    first, then = ATTACKS[attack]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count + 500), hard), hard))
    stop = threading.Event()
    with ExitStack() as stack:
        opened = [stack.enter_context(_connect(address, first)) for _ in range(count)]

        def trickle() -> None:
            while then and not stop.wait(_INTERVAL_SECONDS):
                for connection in opened:
                    with suppress(OSError):
                        connection.sendall(then)

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _connect(address: tuple[str, int], first: bytes) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    with suppress(OSError):
        connection.connect(address)
        connection.sendall(first)
    return connection
