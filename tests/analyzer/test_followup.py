"""From implemented to its end: the service's own measurement of the effect of a change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.config import RunConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = 1_700_000_000.0
MINUTE = 60.0


class History:
    """A source with one series, the query time: slow from `broke` to `fixed`, and of another level after."""

    def __init__(self, broke: float, fixed: float, after: float) -> None:
        self.broke, self.fixed, self.after = broke, fixed, after
        self.silent = False
        # While a proof tries the change, it is there in half of the blocks.
        self.proof = (0.0, 0.0)

    async def query(self, queries: Any, grid: Grid) -> Responses:
        """Return the one known series."""
        times = grid.times()
        slow = (times >= self.broke) & (times < self.fixed)
        level = np.where(slow, 0.5, np.where(times >= self.fixed, self.after, 0.02))
        tried = (times >= self.proof[0]) & (times < self.proof[1]) & (times % (2 * MINUTE) < MINUTE)
        level = np.where(tried, 0.02, level)
        values = (level * (1.0 + 0.01 * np.sin(times)))[None, :]
        labels = ({"service": "shop", "db_system_name": "sqlite"},)
        known = {q.signal for q in queries} & {"db_query_time_p95"}
        return Responses({} if self.silent else {name: Batch(name, grid, labels, values) for name in known}, {})

    async def scrape_interval(self) -> float | None:
        """Return nothing."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database of the test's own."""
    opened = Database(f"sqlite:///{tmp_path / 's.db'}")
    yield opened
    opened.close()


async def _implemented(source: History, database: Database) -> tuple[Loop, str]:
    """Find the problem, and mark its recommendation as implemented."""
    loop = Loop(RunConfig(), source, database, load_knowledge(RunConfig()))
    for at in (NOW + 5 * MINUTE, NOW + 9 * MINUTE):
        await loop.cycle(at)
    (recommendation,) = database.recommendations()
    database.transition(recommendation.id, "implement", NOW + 10 * MINUTE)
    return loop, recommendation.id


@pytest.mark.parametrize(("after", "state"), [(0.02, "validated"), (0.5, "refuted")])
async def test_what_was_implemented_is_measured(database: Database, after: float, state: str) -> None:
    """Ten windows after the change its gain stands in the database and in the metrics' input, once."""
    loop, identifier = await _implemented(History(NOW, NOW + 10 * MINUTE, after), database)
    early = await loop.cycle(NOW + 15 * MINUTE)
    assert early is not None
    assert {one.state for one in (*early.recommendations, *early.decided)} == {"implemented"}
    late = await loop.cycle(NOW + 23 * MINUTE)
    assert late is not None
    (recommendation,) = [one for one in (*late.recommendations, *late.decided) if one.id == identifier]
    assert recommendation.state == state
    assert recommendation.values["measured"]["gain"] == pytest.approx(1 - after / 0.5, abs=0.05)
    assert [event["step"] for event in database.events(identifier)][-1] == state.removesuffix("d")


async def test_a_proof_disturbs_no_measurement_and_is_kept(database: Database) -> None:
    """The change was there and not there in turn: those windows say nothing of before; what was proved stays known."""
    source = History(NOW, NOW + 20 * MINUTE, 0.02)
    loop = Loop(RunConfig(), source, database, load_knowledge(RunConfig()))
    for minutes in (5.0, 9.0):
        await loop.cycle(NOW + minutes * MINUTE)
    (recommendation,) = database.recommendations()
    # What people decided on keeps the evidence that they saw.
    database.transition(recommendation.id, "accept", NOW + 9 * MINUTE)
    source.proof = (NOW + 10 * MINUTE, NOW + 18 * MINUTE)
    outcome = {"verdict": "proved", "gain": 0.95, "low": 0.94, "high": 0.96, "words": "the change takes away 95%"}
    times = {"started": source.proof[0], "ended": source.proof[1]}
    database.record_proof(recommendation.id, {**outcome, **times}, NOW + 18 * MINUTE)
    await loop.cycle(NOW + 19 * MINUTE)
    database.transition(recommendation.id, "implement", NOW + 20 * MINUTE)
    late = await loop.cycle(NOW + 33 * MINUTE)
    assert late is not None
    (found,) = [one for one in (*late.recommendations, *late.decided) if one.id == recommendation.id]
    assert (found.state, found.proved_gain) == ("validated", 0.95)
    assert found.values["measured"]["gain"] == pytest.approx(0.96, abs=0.05)
    assert found.values["proved"]["expected"] == (recommendation.improvement and recommendation.improvement.as_dict())
    assert [event["step"] for event in database.events(found.id)] == [
        "open",
        "accept",
        "prove",
        "implement",
        "validate",
    ]
    assert late.records[found.rule].outcomes == 1


@pytest.mark.parametrize("shift", [7 * 86_400.0, 86_400.0])
async def test_what_falls_at_this_hour_by_itself_is_confounded(database: Database, shift: float) -> None:
    """A nightly job is slow every night, or every Sunday, and ends by itself; the sentence says when it did before."""

    class Nightly(History):
        async def query(self, queries: Any, grid: Grid) -> Responses:
            # The other queries, with other steps, see no history.
            earlier = grid.step == MINUTE and grid.start < self.broke - shift + 2 * 3600
            moved = replace(grid, start=grid.start + shift) if earlier else grid
            found = await super().query(queries, moved)
            return replace(found, batches={name: replace(one, grid=grid) for name, one in found.batches.items()})

    loop, identifier = await _implemented(Nightly(NOW, NOW + 10 * MINUTE, 0.02), database)
    await loop.cycle(NOW + 23 * MINUTE)
    (recommendation,) = (one for one in database.recommendations() if one.id == identifier)
    assert recommendation.state == "confounded"
    when = "a week" if shift > 86_400.0 else "a day"
    assert recommendation.reason.endswith(f"at the same hour {when} before, without the change")


async def test_a_trouble_that_a_proof_filled_cannot_be_compared(database: Database) -> None:
    """It says so at the next look."""
    source = History(NOW, NOW + 20 * MINUTE, 0.02)
    loop = Loop(RunConfig(), source, database, load_knowledge(RunConfig()))
    await loop.cycle(NOW + 3 * MINUTE)
    (recommendation,) = database.recommendations()
    database.transition(recommendation.id, "accept", NOW + 3 * MINUTE)
    tried = {"verdict": "proved", "gain": 0.9, "started": NOW + 2 * MINUTE, "ended": NOW + 9 * MINUTE}
    database.record_proof(recommendation.id, tried, NOW + 9 * MINUTE)
    database.transition(recommendation.id, "implement", NOW + 10 * MINUTE)
    await loop.cycle(NOW + 11 * MINUTE)
    (recommendation,) = database.recommendations("inconclusive")
    assert recommendation.reason == "it had stood for less than 3 min at the change: too short to compare with"


async def test_trouble_that_was_over_before_the_change_is_healed(database: Database) -> None:
    """It ended by itself minutes before it was marked: no gain is claimed, and the sentence says when it ended."""
    loop, identifier = await _implemented(History(NOW, NOW + 6 * MINUTE, 0.02), database)
    await loop.cycle(NOW + 23 * MINUTE)
    (recommendation,) = database.recommendations("healed")
    assert recommendation.id == identifier
    assert "measured" not in recommendation.values
    assert recommendation.reason == "it was over 5 min before it was marked as implemented"
    assert [event["step"] for event in database.events(identifier)][-1] == "heal"


async def test_a_change_seconds_after_the_onset_says_why_it_cannot_be_compared(database: Database) -> None:
    """At the next look, not never."""
    source = History(NOW, NOW + 2 * MINUTE, 0.02)
    loop = Loop(RunConfig(), source, database, load_knowledge(RunConfig()))
    result = await loop.cycle(NOW + 1.5 * MINUTE)
    assert result is not None
    (recommendation,) = result.recommendations
    database.transition(recommendation.id, "implement", NOW + 2 * MINUTE)
    await loop.cycle(NOW + 3 * MINUTE)
    (recommendation,) = database.recommendations("inconclusive")
    assert recommendation.reason == "it had stood for less than 3 min at the change: too short to compare with"


async def test_without_data_nothing_is_concluded(database: Database) -> None:
    """No data after the change is no gain; after a day it is not measured again."""
    source = History(NOW, NOW + 10 * MINUTE, 0.02)
    loop, identifier = await _implemented(source, database)
    source.silent = True
    for at in (NOW + 23 * MINUTE, NOW + 3 * 86_400):
        await loop.cycle(at)
    assert [one.id for one in database.recommendations("implemented")] == [identifier]


async def test_what_comes_back_after_it_was_validated_is_open_again(database: Database) -> None:
    """The same finding after a pause is new work, and its events show both."""
    source = History(NOW, NOW + 10 * MINUTE, 0.02)
    loop, identifier = await _implemented(source, database)
    await loop.cycle(NOW + 23 * MINUTE)
    source.broke, source.fixed = NOW + 60 * MINUTE, NOW + 100 * MINUTE
    result = await loop.cycle(NOW + 65 * MINUTE)
    assert result is not None
    assert [(one.id, one.state) for one in result.recommendations] == [(identifier, "open")]
    assert "measured" not in result.recommendations[0].values
    assert [event["step"] for event in database.events(identifier)] == ["open", "implement", "validate", "reopen"]
