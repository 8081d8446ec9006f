"""Back-pressure: a server that is slow or refuses gets fewer questions, and the page says so."""

from __future__ import annotations

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.ports import Query
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.prometheus_api.pace import Pace
from perfloop_analyzer.published import Published
from perfloop_analyzer.reporters.html import render_page
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

GRID = Grid(1000.0, 10.0, 4)
QUERIES = [Query(f"q{n}", f"q{n}") for n in range(12)]
NOTHING = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class Busy:
    """A server that answers as a test says, and counts how many questions it has at a time."""

    def __init__(self) -> None:
        self.status, self.delay, self.after = 200, 0.0, ""
        self.now = self.takes = 0.0  # on the client's clock
        self.asked = self.running = self.most = 0
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        busy: Busy = self.server.busy  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"]))
        with busy.lock:
            busy.asked += 1
            busy.running += 1
            busy.most = max(busy.most, busy.running)
            busy.now += busy.takes
        time.sleep(busy.delay)
        with busy.lock:
            busy.running -= 1
        self.send_response(busy.status)
        if busy.after:
            self.send_header("Retry-After", busy.after)
        self.send_header("Content-Length", str(len(NOTHING)))
        self.end_headers()
        self.wfile.write(NOTHING)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def busy() -> Iterator[tuple[Busy, str]]:
    """The server and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.busy = found = Busy()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("trouble", ["slow", "429", "503"])
async def test_a_server_in_trouble_gets_fewer_questions(busy: tuple[Busy, str], trouble: str) -> None:
    """Fewer at a time, each once; and as many as before when it has recovered."""
    server, url = busy
    config = SourceConfig(url, timeout_seconds=30.0, concurrency=4)
    async with PrometheusSource(config, clock=lambda: server.now) as source:
        server.delay = 0.05
        await source.query(QUERIES, GRID)
        assert (source.pace.now, source.pace.words) == (4, "")
        server.takes, server.status = (20.0, 200) if trouble == "slow" else (0.1, int(trouble))
        await source.query(QUERIES, GRID)
        assert source.pace.now == 1
        assert "1 of 4 questions at a time" in source.pace.words
        server.asked = server.most = 0
        source.budget.succeeded()
        await source.query(QUERIES, GRID)
        assert server.most == 1
        if trouble != "slow":
            assert server.asked <= 4, "what is not answered is not tried again"
        server.takes, server.status, server.delay = 0.001, 200, 0.0
        source.budget.succeeded()
        for _ in range(3):
            await source.query(QUERIES, GRID)
        assert source.pace.now == 4
        assert not source.pace.words


async def test_the_page_says_that_prometheus_gets_fewer_questions(busy: tuple[Busy, str]) -> None:
    """In one sentence, with the server's own reason."""
    server, url = busy
    server.status, server.after = 429, "600"
    published = Published()
    async with PrometheusSource(SourceConfig(url)) as source:
        published.pace = source.pace
        await source.query(QUERIES, GRID)
    page = render_page(published, 0.0)
    assert "questions at a time, because HTTP 429" in page
    assert "Retry-After: 600" in page


@given(
    events=st.lists(st.tuples(st.floats(0.0, 20.0), st.booleans()), max_size=200),
    most=st.integers(1, 64),
)
def test_the_limit_stays_within_its_bounds(events: list[tuple[float, bool]], most: int) -> None:
    """From 1 to the most, whatever happens; it is halved once for all that was sent before."""
    now = 0.0
    pace = Pace(most, 10.0, lambda: now)
    for took, good in events:
        began, halvings = now, pace.halvings
        now += took
        if good:
            pace.answered(began)
        else:
            pace.refused(began, "HTTP 503")
            pace.refused(began - 1.0, "HTTP 503")
        assert 1 <= pace.now <= most
        assert pace.halvings <= halvings + 1
        assert bool(pace.words) or pace.now == most


async def test_who_waits_for_a_turn_gets_one() -> None:
    """A limit that falls while queries run lets them finish, and the next ones wait for their turn."""
    pace = Pace(4, 10.0, time.monotonic)
    running, most = 0, 0

    async def one() -> None:
        nonlocal running, most
        async with pace.turn():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    pace.refused(time.monotonic(), "HTTP 503")
    await asyncio.wait_for(asyncio.gather(*(one() for _ in range(20))), 10.0)
    assert most == 2
