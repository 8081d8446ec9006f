"""Whether something answers, asked of sockets that behave badly."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.guardian.asking import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Serve one connection in a thread, as the test says."""
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def begin(behave: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                behave(connection)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/-/ready"

    yield begin
    for thread in threads:
        thread.join(10)
    for listener in listeners:
        listener.close()


def _drip(connection: socket.socket) -> None:
    try:
        for _ in range(20):
            connection.sendall(b"H")
            time.sleep(0.1)
    except OSError:
        return


def test_any_status_is_an_answer(serve: Callable[..., str]) -> None:
    """503 means not ready: a program that reads its data says so, and does not hang."""
    assert answers(serve(lambda connection: connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")), 2)


@pytest.mark.parametrize("behave", [lambda _: time.sleep(1), _drip, lambda one: one.sendall(b"SSH-2.0-x\r\n")])
def test_no_answer_within_the_time(serve: Callable[..., str], behave: Callable[[socket.socket], None]) -> None:
    """Silence, a byte now and then, and something that is not HTTP are none, and cost no more than the time given."""
    start = time.monotonic()
    assert not answers(serve(behave), 0.5)
    assert time.monotonic() - start < 0.9


def test_nothing_listens(free_port: int) -> None:
    """A refused connection is no answer."""
    assert not answers(f"http://127.0.0.1:{free_port}/", 0.5)
