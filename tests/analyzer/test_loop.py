"""The loop: what fails, what stays, what is skipped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_analyzer.config import RunConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from pathlib import Path


class Scripted:
    """A source with the responses that a test gives it."""

    def __init__(self, *answers: Responses | Exception) -> None:
        self._answers = list(answers)

    async def query(self, queries: Any, grid: Any) -> Responses:
        """Return the next response; the last one repeats."""
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def scrape_interval(self) -> float | None:
        """Return nothing."""


Make = Callable[..., Loop]


@pytest.fixture
def make_loop() -> Iterator[Make]:
    """Loops over scripted answers; their databases are closed at the end."""
    with contextlib.ExitStack() as stack:

        def make(*answers: Responses | Exception, store: str = "sqlite://", source: Scripted | None = None) -> Loop:
            database = Database(store)
            stack.callback(database.close)
            config = RunConfig(interval_seconds=0.05)
            return Loop(config, source or Scripted(*answers), database, load_knowledge(RunConfig()))

        yield make


def _good(build: Any, value: float = 0.5) -> Responses:
    return Responses({"db_query_time_p95": build.batch([value] * 30)}, {})


async def test_the_last_good_result_stays_and_the_next_cycle_recovers(build: Any, make_loop: Make) -> None:
    """Missing responses and unexpected exceptions fail their own cycle only."""
    nothing = Responses({}, {"db_query_time_p95": "does not answer"})
    good = _good(build)
    # A cycle asks for the signals, the first one what was published, the alerts, when they are due the changes, the
    # history and the burn rates, of what is seen for the first time the day before, and the worst parts.
    loop = make_loop(*[good] * 8, nothing, ValueError("surprise"), *[good] * 4)
    first = await loop.cycle(100.0)
    assert first is not None
    assert await loop.cycle(110.0) is None
    assert await loop.cycle(120.0) is None
    assert loop.published.result is first
    assert loop.published.costs.last_success == 100.0
    assert loop.published.error
    assert await loop.cycle(130.0) is not None
    assert loop.published.costs.cycles == {"complete": 2, "partial": 0, "failed": 2, "shed": 0}


async def test_some_answers_make_a_partial_cycle(build: Any, make_loop: Make) -> None:
    """What was answered is analyzed, what was not is named."""
    answers = Responses(_good(build).batches, {"cpu_used_ratio": "HTTP 422"})
    loop = make_loop(answers)
    result = await loop.cycle(100.0)
    assert result is not None
    assert result.failures == {"cpu_used_ratio": "HTTP 422"}
    assert loop.published.costs.cycles["partial"] == 1


async def test_a_broken_database_leaves_the_cycle_partial(build: Any, make_loop: Make, tmp_path: Path) -> None:
    """Recommendations are published even while they cannot be stored."""
    import sqlite3

    path = tmp_path / "s.db"
    loop = make_loop(_good(build), store=f"sqlite:///{path}")
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    result = await loop.cycle(100.0)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert result is not None
    assert "locked" in result.failures["store"]
    assert result.recommendations
    assert loop.published.costs.store_failures >= 1
    assert not (await loop.cycle(110.0) or result).failures


async def test_cycles_never_overlap_and_late_ones_are_skipped(build: Any, make_loop: Make) -> None:
    """A cycle that takes longer than its interval skips the next ones; they are not queued."""
    running = most = 0

    class Slow(Scripted):
        async def query(self, queries: Any, grid: Any) -> Responses:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.06)
            running -= 1
            return await super().query(queries, grid)

    loop = make_loop(source=Slow(_good(build)))
    stop = asyncio.Event()

    def clock() -> float:
        if loop.published.costs.cycles["shed"] >= 3:
            stop.set()
        return 100.0

    await asyncio.wait_for(loop.run(stop, clock), 60)
    assert most == 1


async def test_sigkill_and_restart_keep_what_was_decided(build: Any, make_loop: Make, tmp_path: Path) -> None:
    """A new loop on the same database goes on with the state of the old one."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    first = make_loop(_good(build), store=url)
    result = await first.cycle(100.0)
    assert result is not None
    other = Database(url)
    other.transition(result.recommendations[0].id, "accept", 101.0)
    other.close()
    again = await make_loop(_good(build), store=url).cycle(110.0)
    assert again is not None
    assert again.recommendations[0].state == "accepted"


class _Alerting(Scripted):
    """Signals are answered; of alerts only what a test gives."""

    def __init__(self, signals: Responses, alerts: Responses) -> None:
        super().__init__(signals)
        self._alerts = alerts

    async def query(self, queries: Any, grid: Any) -> Responses:
        """Return the alerts where they are asked for."""
        return self._alerts if queries and queries[0].signal == "alerts" else await super().query(queries, grid)


async def test_a_cycle_asks_which_alerts_fire_and_keeps_why_it_is_not_known(build: Any, make_loop: Make) -> None:
    """A refused query is no empty list, and no failed cycle."""
    firing = build.batch([1.0, 1.0], "alerts", alertname="A", severity="critical")
    asked = make_loop(source=_Alerting(_good(build), Responses({"alerts": firing}, {})))
    refused = make_loop(source=_Alerting(_good(build), Responses({}, {"alerts": "Prometheus refused it"})))
    for loop in (asked, refused):
        assert await loop.cycle(100.0) is not None
    assert [one["alertname"] for one in asked.published.firing.alerts] == ["A"]
    assert (asked.published.firing.problem, refused.published.firing.problem) == ("", "Prometheus refused it")
