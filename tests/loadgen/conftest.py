"""What tests of the load generator share: real servers with programmable answers, and the document of a run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen.samples.book import Book, Load, Point
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import Document
from perfloop_loadgen.summary.verdict import Generator
from tests.support.connections import raw_server

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Service:
    """A TCP server on a free port that answers each request as its handler says, and counts them."""

    def __init__(self, answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._answer = answer
        self._writers: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None] | None] = set()
        self.requests: list[bytes] = []
        self.requests_open = 0
        self.connections = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests one after the other and let the answer be written."""
        self.connections += 1
        self._writers.add(writer)
        self._handlers.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                self.requests.append(head + body)
                self.requests_open += 1
                await self._answer(head + body, writer)
                self.requests_open -= 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            self._handlers.discard(asyncio.current_task())
            writer.close()

    async def end(self) -> None:
        """Leave no connection open, those included that were accepted a moment ago and have no handler yet."""
        await _run_what_is_ready()
        for writer in self._writers:
            writer.transport.abort()
        handlers = [task for task in self._handlers if task is not None]
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await _run_what_is_ready()

    async def hang_up(self) -> None:
        """Close every connection, and wait until each is."""
        writers = list(self._writers)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def _run_what_is_ready() -> None:
    """Give the loop the few rounds in which asyncio accepts, hands over and closes a socket."""
    for _ in range(10):
        await asyncio.sleep(0)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def always(answer: bytes) -> Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]:
    """Return a handler that writes the same bytes each time."""

    async def write(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return write


@asynccontextmanager
async def serving(
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]] | bytes, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Service]:
    """Serve while the block runs."""
    service = Service(always(answer) if isinstance(answer, bytes) else answer)
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0, ssl=tls)
    service.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.close()
        await service.end()


def build_document(p95: float, seed: int, **changes: Any) -> Document:
    """Return a run of 40 s whose p95 varies by 5 % around `p95` seconds, from the seed."""
    noise = random.Random(seed)

    def point(second: int) -> Point:
        value = p95 * noise.lognormvariate(0, 0.05)
        return Point(float(second), 1.0, 100, 0, value / 2, value, value * 1.5, 0.0, Load(users=5))

    document = Document(
        run_id="x",
        profile="constant_users",
        base_url="http://127.0.0.1:1",
        started_at="2026-01-01T00:00:00+00:00",
        summary=summarize("t", Book(Labels(["GET /"])), 30),
        generator=Generator(),
        timeline=[point(second) for second in range(40)],
        distribution=[],
        config={"concurrent_users": 5},
    )
    return replace(document, **changes)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep runs of tests out of the stack that may run from this checkout."""
    monkeypatch.setenv("PERFLOOP_HOME", str(tmp_path / ".perfloop"))
    monkeypatch.delenv("PERFLOOP_LOADGEN_STORE_URL", raising=False)


@pytest.fixture
def serve() -> Callable[..., object]:
    """The context manager that starts a service."""
    return serving


@pytest.fixture
async def hello() -> AsyncIterator[Service]:
    """A service that says hello."""
    async with serving(HELLO) as service:
        yield service


@pytest.fixture(name="raw_server")
def _raw_server() -> Callable[..., object]:
    """The context manager that starts a server of plain sockets."""
    return raw_server
