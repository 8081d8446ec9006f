"""Since when: findings and incidents keep their start and their identity beyond the window, and over restarts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import RunConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.findings import Severity
from perfloop_analyzer.incidents import Memory, Topology, carry_findings, carry_incidents, group_incidents, remember
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.ports import Responses, Result
from perfloop_analyzer.reporters.metrics import result_families
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from perfloop_analyzer.findings import Finding

T0 = 1_700_000_000.0
MINUTE, HOUR = 60.0, 3600.0
STEP, POINTS = 15.0, 40  # a window of ten minutes
HEALTHY, BROKEN = {"db_query_time_p95": 0.02, "api_response_time_p95": 0.1}, {"db_query_time_p95": 0.7}
BROKEN["api_response_time_p95"] = 1.6


class Course:
    """A source whose values depend on the moment alone: broken while `is_broken` says so."""

    def __init__(self, is_broken: Callable[[float], bool], published: Result | None = None) -> None:
        self._is_broken = is_broken
        self._published = published

    async def query(self, queries: Any, grid: Grid) -> Responses:
        """Return both signals over the grid, with a little noise that is the same at the same moment."""
        batches = {}
        for query in queries:
            if query.signal == "recalled" and self._published:
                batches[query.signal] = _scraped(self._published, grid)
            if query.signal not in HEALTHY:
                continue
            rows = [
                (BROKEN if self._is_broken(at) else HEALTHY)[query.signal] * (1 + 0.02 * np.sin(at))
                for at in grid.times()
            ]
            batches[query.signal] = Batch(query.signal, grid, ({"service": "shop"},), np.array([rows]))
        return Responses(batches, {})

    async def scrape_interval(self) -> float | None:
        """Return nothing: the step is given."""


def _scraped(result: Result, grid: Grid) -> Batch:
    """The starts that a result publishes, as Prometheus returns them."""
    names = {"perfloop_finding_start_timestamp_seconds", "perfloop_incident_start_timestamp_seconds"}
    samples = [sample for family in result_families(result) if family.name in names for sample in family.samples]
    labels = tuple(dict(sample.labels) for sample in samples)
    values = np.array([[float(sample.value)] * grid.points for sample in samples])
    return Batch("recalled", grid, labels, values)


Open = Any


@pytest.fixture
def analyzer(tmp_path: Path) -> Iterator[Open]:
    """Analyzers one after the other on one database, as restarts leave them."""
    with contextlib.ExitStack() as stack:

        def start(is_broken: Callable[[float], bool]) -> Loop:
            database = Database(f"sqlite:///{tmp_path / 's.db'}")
            stack.callback(database.close)
            config = RunConfig(points=POINTS, step_seconds=STEP)
            return Loop(config, Course(is_broken), database, load_knowledge(config))

        yield start


async def _watch(loop: Loop, start: float, end: float, every: float = MINUTE) -> list[Result]:
    """Return the result of each cycle of a time, which goes by at once."""
    results = [await loop.cycle(at) for at in np.arange(start, end, every)]
    assert None not in results
    return [one for one in results if one is not None]


def _moments(result: Result, name: str) -> set[float]:
    return {sample.value for family in result_families(result) if family.name == name for sample in family.samples}


async def test_an_incident_of_hours_keeps_its_start_and_its_name_over_a_restart(analyzer: Open) -> None:
    """The window is ten minutes long: the start must not move with it, nor with the process."""

    def is_broken(at: float) -> bool:
        return at >= T0

    first = await _watch(analyzer(is_broken), T0 - 2 * MINUTE, T0 + HOUR)
    second = await _watch(analyzer(is_broken), T0 + HOUR, T0 + 3 * HOUR, 115.0)
    broken = [one for one in (*first, *second) if one.at >= T0 + MINUTE]
    assert {len(one.incidents) for one in broken} == {1}
    assert {one.incidents[0].id for one in broken} == {broken[0].incidents[0].id}
    assert {one.incidents[0].started for one in broken} == {broken[0].incidents[0].started}
    assert broken[0].incidents[0].started == pytest.approx(T0, abs=2 * STEP)
    assert {finding.onset for one in broken for finding in one.findings} <= {T0 + n * STEP for n in range(-2, 3)}
    # What it was before is still known, and so are the cause, the gain and the recommendation's own start.
    assert {one.incidents[0].causes[0].component for one in broken} == {"database"}
    last = broken[-1]
    assert all(finding.expected < finding.limit for finding in last.findings if finding.limit)
    (database,) = (one for one in last.recommendations if one.rule == "slow_queries")
    assert database.improvement is not None
    assert database.created <= T0 + 2 * MINUTE
    for name in ("perfloop_incident_start_timestamp_seconds", "perfloop_recommendation_start_timestamp_seconds"):
        assert all(moment <= T0 + 2 * MINUTE for moment in _moments(last, name))
        assert _moments(last, name)


async def test_an_analyzer_that_was_off_for_hours_takes_the_incident_up_again(analyzer: Open) -> None:
    """Nobody looked in between, and nothing shows that it had ended."""

    def is_broken(at: float) -> bool:
        return at >= T0

    before = await _watch(analyzer(is_broken), T0, T0 + 12 * MINUTE)
    after = await _watch(analyzer(is_broken), T0 + 8 * HOUR, T0 + 8 * HOUR + 5 * MINUTE)
    assert {(one.incidents[0].id, one.incidents[0].started) for one in after} == {
        (before[-1].incidents[0].id, before[-1].incidents[0].started)
    }


async def test_what_recovered_while_the_analyzer_was_off_is_another_incident(analyzer: Open) -> None:
    """The window shows that it began again."""

    def is_broken(at: float) -> bool:
        return T0 <= at < T0 + HOUR or at >= T0 + 2 * HOUR

    before = await _watch(analyzer(is_broken), T0, T0 + 12 * MINUTE)
    after = await _watch(analyzer(is_broken), T0 + 2 * HOUR + 3 * MINUTE, T0 + 2 * HOUR + 6 * MINUTE)
    assert after[-1].incidents[0].started == pytest.approx(T0 + 2 * HOUR, abs=2 * STEP)
    assert after[-1].incidents[0].id != before[-1].incidents[0].id


async def test_the_next_incident_of_the_same_cause_has_its_own_name_and_start(analyzer: Open) -> None:
    """It ended and was seen to end: what returns later is another one, and so is its recommendation's time."""

    def is_broken(at: float) -> bool:
        return T0 <= at < T0 + 10 * MINUTE or at >= T0 + 40 * MINUTE

    results = await _watch(analyzer(is_broken), T0 - MINUTE, T0 + 45 * MINUTE)
    names = list(dict.fromkeys(incident.id for one in results for incident in one.incidents if incident.severity > 0))
    assert len(names) == 2
    assert results[-1].incidents[0].started == pytest.approx(T0 + 40 * MINUTE, abs=2 * STEP)


async def test_an_incident_that_pauses_for_a_minute_goes_on(analyzer: Open) -> None:
    """A signal that is inside its limit for less than two minutes does not start a new incident."""

    def is_broken(at: float) -> bool:
        return at >= T0 and not T0 + 20 * MINUTE <= at < T0 + 21 * MINUTE

    results = await _watch(analyzer(is_broken), T0, T0 + 26 * MINUTE, 30.0)
    worst = [one.incidents[0] for one in results if one.at > T0 + MINUTE and one.incidents]
    assert {one.id for one in worst} == {worst[0].id}
    assert worst[-1].started == worst[0].started


async def test_what_is_seen_for_the_first_time_began_when_the_day_before_says(analyzer: Open) -> None:
    """An analyzer that is started into an incident of hours does not say that it began with its window."""

    def is_broken(at: float) -> bool:
        return at >= T0

    results = await _watch(analyzer(is_broken), T0 + 5 * HOUR, T0 + 5 * HOUR + 2 * MINUTE)
    assert [one.incidents[0].started for one in results] == [pytest.approx(T0, abs=MINUTE)] * 2
    assert len({one.incidents[0].id for one in results}) == 1
    (database,) = (one for one in results[-1].findings if one.signal == "db_query_time_p95")
    assert database.expected == pytest.approx(0.02, rel=0.1)


async def test_a_single_analysis_beside_the_running_one_knows_since_when(analyzer: Open) -> None:
    """`once` and `report` have no database: they take up the starts that the running analyzer publishes."""

    def is_broken(at: float) -> bool:
        return at >= T0

    running = (await _watch(analyzer(is_broken), T0, T0 + 30 * MINUTE, 110.0))[-1]
    database = Database("sqlite://")
    config = RunConfig(points=POINTS, step_seconds=STEP)
    single = Loop(config, Course(is_broken, running), database, load_knowledge(config))
    (result,) = await _watch(single, T0 + 30 * MINUTE, T0 + 30 * MINUTE + 1)
    database.close()
    assert (result.incidents[0].id, result.incidents[0].started) == (
        running.incidents[0].id,
        running.incidents[0].started,
    )
    assert {finding.onset for finding in result.findings} == {finding.onset for finding in running.findings}


def _incident(build: Any, *findings: Finding, memory: Memory, at: float) -> tuple[Any, Memory]:
    carried = carry_findings(findings, memory, at)
    incidents = carry_incidents(group_incidents(carried, Topology(), lambda _finding: 1.0), memory)
    return incidents, remember(memory, incidents, at, lambda _finding: 1.0)


def test_what_is_down_now_is_down_since_now(build: Any) -> None:
    """A service of which a part was gone for hours and that is wholly gone now does not answer since now."""
    names = {"signal": "availability", "component": "availability", "unit": "ratio", "direction": "below", "limit": 1.0}
    part = build.finding(**names, value=0.5, expected=1.0, onset=1000.0, window=(0.0, 1200.0))
    whole = build.finding(**names, value=0.0, expected=1.0, onset=8000.0, severity=Severity.CRITICAL)
    (before,), memory = _incident(build, part, memory=Memory(), at=1100.0)
    (_,), memory = _incident(build, part, memory=Memory(7990.0, memory.episodes, memory.incidents), at=8000.0)
    memory = Memory(8000.0, memory.episodes, memory.incidents)
    (after,), _ = _incident(build, whole, memory=memory, at=8010.0)
    assert after.findings[0].onset == 8000.0
    assert before.findings[0].onset == 1000.0


def test_two_incidents_that_become_one_keep_the_older_name(build: Any) -> None:
    """A joined incident is the one that it shares more with; no two incidents of a cycle have one name."""
    database = build.finding(onset=1000.0)
    mail = build.finding(service="mail", onset=1000.0, labels={"service": "mail"})
    two, memory = _incident(build, database, mail, memory=Memory(), at=1010.0)
    assert len({one.id for one in two}) == 2
    graph = Topology({"shop": frozenset({"mail"})})
    api = build.finding(signal="api_response_time_p95", component="api", onset=1000.0)
    (joined,) = carry_incidents(group_incidents([database, mail, api], graph, lambda _finding: 1.0), memory)
    assert joined.id in {one.id for one in two}


def test_a_clock_that_was_set_back_starts_nothing_before_now(build: Any) -> None:
    """What began in the future of the new clock begins when the data say."""
    _, memory = _incident(build, build.finding(onset=9000.0), memory=Memory(), at=9010.0)
    (incident,), _ = _incident(build, build.finding(onset=1000.0), memory=memory, at=1010.0)
    assert incident.findings[0].onset == 1000.0


def test_the_causes_of_each_incident_add_up_to_at_most_one(build: Any) -> None:
    """Whatever the scores: rounding never makes more than the whole, and a sum over incidents is none of theirs."""
    signals = [signal for signal in load_catalog() if signal.component != "availability"]
    rng = np.random.default_rng(5)
    for _ in range(50):
        names = rng.choice(len(signals), size=7, replace=False)
        findings = [
            build.finding(
                signal=signals[i].name, component=signals[i].component, onset=1000.0 + float(rng.integers(500))
            )
            for i in names
        ]
        scores = {finding.signal: float(rng.exponential()) for finding in findings}
        for incident in group_incidents(findings, Topology(), lambda finding, s=scores: s[finding.signal]):
            assert sum(cause.score for cause in incident.causes) == 1.0
            shown = [cause.percent for cause in incident.causes]
            assert sum(int(one.removesuffix("%")) for one in shown if one != "<1%") <= 100
