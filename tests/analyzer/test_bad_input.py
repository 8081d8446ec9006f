"""What can go wrong: clocks that jump, counters that restart, series that come and go, a disk that is full."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.app import open_loop
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.pipeline import NoveltyWatch
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_700_000_000.0
HOUR = 3600.0
SIGNALS = "signals: [{name: jobs, component: api, kind: red, limit: {warning: 50}, expr: 'rate(jobs_total[10s])'}]"


class Course:
    """A source whose series a test sets: signal, labels and values, the same on every grid."""

    def __init__(self) -> None:
        self.rows: dict[str, float] = {"a": 0.02}
        self.asked: list[tuple[str, Grid]] = []

    async def query(self, queries: Any, grid: Grid) -> Responses:
        """Answer with the rows that are there."""
        self.asked += [(query.signal, grid) for query in queries]
        wanted = {query.signal for query in queries} & {"db_query_time_p95"}
        labels = tuple({"service": "shop", "db_system_name": name} for name in self.rows)
        values = np.array([[level] * grid.points for level in self.rows.values()]).reshape(len(labels), grid.points)
        return Responses({name: Batch(name, grid, labels, values) for name in wanted}, {})

    async def scrape_interval(self) -> float | None:
        """Return nothing."""

    def history_reads(self) -> int:
        """How often the history was queried."""
        return sum(signal == "db_query_time_p95" and grid.step == 600.0 for signal, grid in self.asked)


@pytest.fixture
def course() -> Course:
    """A source under the test's control."""
    return Course()


@pytest.fixture
def loop(course: Course) -> Iterator[Loop]:
    """A loop over it."""
    with contextlib.closing(Database("sqlite://")) as database:
        yield Loop(RunConfig(), course, database, load_knowledge(RunConfig()))


async def test_a_clock_that_jumps_fails_nothing_and_stops_nothing(loop: Loop, course: Course) -> None:
    """After a jump of a day, forth or back, the next cycle is whole, and the long view is not put off for a day."""
    course.rows = {"a": 0.5}
    for number, at in enumerate((NOW, NOW + 24 * HOUR, NOW + 10, NOW - 24 * HOUR, NOW + 20), start=1):
        result = await loop.cycle(at)
        assert result is not None
        assert [one.service for one in result.findings] == ["shop"]
        assert loop.published.costs.last_success == at
        assert course.history_reads() == number
    assert loop.published.costs.cycles == {"complete": 5, "partial": 0, "failed": 0, "shed": 0}


def test_a_clock_gone_back_does_not_silence_what_is_new(build: Any) -> None:
    """The streaming detector accepts the past that is reported now; it does not wait for the future it once saw."""
    signal = build.signal()
    values = 0.02 + np.random.default_rng(3).normal(0, 0.001, (1, 600))
    values[0, -2:] = 0.9
    watch = NoveltyWatch()
    for start in (24 * HOUR, 0.0):
        batch = Batch(signal.name, Grid(start, 600.0, 600), ({"service": "shop"},), values)
        assert len(watch.watch({signal.name: batch}, {signal.name: signal}, "1m")) == 1


async def test_series_come_and_go(loop: Loop, course: Course) -> None:
    """What vanishes takes its finding with it, what appears is judged, and an empty response is no error."""
    seen = []
    for at, rows in enumerate(({"a": 0.02}, {"a": 0.02, "b": 0.5}, {"b": 0.5}, {}, {"c": 0.02})):
        course.rows = rows
        result = await loop.cycle(NOW + 400 * at)
        assert result is not None
        seen.append([one.labels["db_system_name"] for one in result.findings])
    assert seen == [[], ["b"], ["b"], [], []]
    assert loop.published.costs.cycles["failed"] == 0


async def test_a_failed_history_query_leaves_what_was_learned(loop: Loop, course: Course) -> None:
    """A failed query of the history does not remove the seasons."""
    await loop.cycle(NOW)
    learned = dict(loop._knowledge.settings.history.learned)
    assert learned

    async def silent(queries: Any, grid: Grid) -> Responses:
        return Responses({}, {"db_query_time_p95": "HTTP 503"}) if grid.step == 600.0 else await query(queries, grid)

    query, course.query = course.query, silent  # type: ignore[method-assign]
    assert await loop.cycle(NOW + 400) is not None
    assert loop._knowledge.settings.history.learned == learned


async def test_a_counter_that_restarts_is_no_jump(prometheus: str, service: Any, tmp_path: Path) -> None:
    """A process that begins again from nothing has neither a negative nor a huge rate, and no finding."""
    signals = tmp_path / "signals.yml"
    signals.write_text(SIGNALS)
    config = RunConfig(SourceConfig(prometheus), catalog_files=(signals,), step_seconds=1.0, points=30)
    for count in (1_000_000, 1_000_010, 1_000_020, 0, 10, 20, 30, 40):
        service.text = f"# TYPE jobs_total counter\njobs_total {count}\n"
        scrapes = len(service.hits)
        await asyncio.to_thread(_scraped, service, scrapes + 2)
    async with open_loop(config) as (loop, _):
        result = await loop.cycle(time.time())
        rates = loop.published.batches["jobs"].values
    assert result is not None
    assert not [one for one in result.findings if one.signal == "jobs"]
    assert np.nanmax(rates) <= 50
    assert 0 <= np.nanmin(rates) < np.nanmax(rates)


def _scraped(service: Any, times: int) -> None:
    end = time.monotonic() + 60
    while len(service.hits) < times:
        assert time.monotonic() < end, "Prometheus does not scrape"
        time.sleep(0.05)


FULL = """
import json, os, resource, sys
from perfloop_analyzer.errors import StoreError
from perfloop_analyzer.recommend.recommendation import Recommendation
from perfloop_analyzer.store import Database

def make(i, words="do"):
    return Recommendation(i, "r", "shop", "database", "database", "high", "t", words, "low", "none", ("x",), ({},))

path = sys.argv[1]
database = Database(f"sqlite:///{path}")
database.merge([make("keep")], 1.0)
database.transition("keep", "accept", 2.0)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(path) + 20_000, hard))
reported = ""
try:
    for number in range(100):
        database.merge([make(f"n{number}", "w" * 4000)], 3.0 + number)
except StoreError as error:
    reported = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
database.merge([make("after")], 500.0)
states = {one.id: one.state for one in database.recommendations()}
database.close()
print(json.dumps({"reported": reported, "keep": states["keep"], "after": states["after"]}))
"""


def test_a_full_disk_is_reported_and_survived(tmp_path: Path) -> None:
    """A file that may not grow is one sentence; what was decided stays, and with space again writing continues."""
    command = [sys.executable, "-c", FULL, str(tmp_path / "full.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    reported = json.loads(done.stdout)
    assert "full.db" in reported["reported"]
    assert "failed: " in reported["reported"]
    assert (reported["keep"], reported["after"]) == ("accepted", "open")
