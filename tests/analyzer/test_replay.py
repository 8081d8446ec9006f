"""The replay: the live cycle's results over a past, what was found of it, and what it refuses."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest

from perfloop_analyzer.cli import main
from perfloop_analyzer.config import AnalysisConfig, ReplayConfig, SourceConfig
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.ports import Health, Query, Responses, Result
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.recommend.recommendation import Recommendation
from perfloop_analyzer.replay import Journal, Scratch, certificate_lines, make_plan, read_holds, replay
from perfloop_analyzer.replay.reading import ReadAhead
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.store import Database
from perfloop_base.errors import ExitCode
from perfloop_base.thresholds import parse_thresholds
from tests.support.history import serve_history, write_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

STEP, DAY, HOUR = 30.0, 86_400.0, 3600.0
END = 1_750_032_000.0  # midnight in UTC
FAULT = END - 6 * HOUR, END - 5.5 * HOUR
QUIET = END - 2 * DAY, END - DAY
CATALOG = """signals:
- {name: db_query_time_p95, title: Database query time, component: database, kind: red, unit: seconds, expr: queries,
   limit: {warning: 0.3, critical: 0.6}, min_deviation: 0.01}
- {name: depth, title: Queue depth, component: api, kind: use, unit: items, expr: depth, limit: {warning: 50}}
"""


NOISE = np.random.default_rng(11).standard_normal((6, round(2.5 * DAY / STEP) + 1))


def _noise(moment: float, row: int) -> float:
    """The same normally distributed number for the same moment and series."""
    return float(NOISE[row, round((moment - END) / STEP)])


def _queries(moment: float) -> float:
    level = 0.4 if FAULT[0] <= moment < FAULT[1] else 0.05
    return level * math.exp(0.1 * _noise(moment, 1))


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: str, promtool: str) -> Iterator[tuple[str, Path]]:
    """A Prometheus with two days and a half, the last of which has a fault; and a catalogue."""
    directory = tmp_path_factory.mktemp("past")
    series: dict[str, Callable[[float], float | None]] = {
        'queries{service="shop"}': _queries,
        'queries{service="till"}': lambda moment: 0.05 * math.exp(0.1 * _noise(moment, 2)),
        'depth{service="shop"}': lambda moment: 10.0 + _noise(moment, 3),
        # One that comes in the middle, and one that is there now and then.
        'depth{service="late"}': lambda moment: 10.0 + _noise(moment, 4) if moment > END - 7 * HOUR else None,
        'depth{service="rare"}': lambda moment: 10.0 + _noise(moment, 5) if moment // 1800 % 3 else None,
    }
    times = np.arange(END - 2.5 * DAY, END + 1, STEP).tolist()
    catalog = directory / "catalog.yml"
    catalog.write_text(CATALOG)
    with serve_history(prometheus_binary, promtool, directory, write_history(series, times)) as client:
        yield str(client.base_url), catalog


def _flags(past: tuple[str, Path], start: float, end: float, *more: str) -> list[str]:
    url, catalog = past
    flags = [f"--prometheus.url={url}", f"--catalog.file={catalog}", f"--query.step={STEP:g}s"]
    return ["replay", *flags, f"--from={start:.0f}", f"--to={end:.0f}", *more]


def _config(past: tuple[str, Path]) -> AnalysisConfig:
    return AnalysisConfig(source=SourceConfig(url=past[0]), catalog_files=(past[1],), step_seconds=STEP)


def _without_counts(result: Result) -> dict[str, Any]:
    """What was found; a series without any value is counted by one, and not by the other."""
    body = result.as_dict()
    return {name: value for name, value in body.items() if name not in {"series", "failures"}}


async def test_every_cycle_is_the_live_one(past: tuple[str, Path]):
    """Findings, incidents, recommendations and health are those of the service's own queries at the same moments."""
    config = _config(past)
    knowledge = load_knowledge(config)
    seen: list[Result] = []
    async with PrometheusSource(config.source) as source:
        asked = ReplayConfig(FAULT[0] - 300.0, FAULT[0] + 900.0, 90.0)
        plan = await make_plan(config, asked, source, knowledge)
        moments = list(plan.moments())
        looped = Loop(plan.config, plan.read(source), Scratch(), knowledge)
        live = Loop(plan.config, source, Scratch(), knowledge)
        for moment in moments:
            found, expected = await looped.cycle(moment), await live.cycle(moment)
            assert found is not None
            assert expected is not None
            assert _without_counts(found) == _without_counts(expected), moment
            seen.append(found)
    assert plan.stride == 90.0
    assert any(result.incidents and result.recommendations for result in seen)
    assert not seen[0].incidents


async def test_what_comes_later_changes_nothing_before(past: tuple[str, Path]):
    """A replay that ends in the middle of the fault saw the same until then."""
    config = _config(past)
    knowledge = load_knowledge(config)
    bodies = []
    for end in (FAULT[0] + 240.0, FAULT[1]):
        results: list[Any] = []
        async with PrometheusSource(config.source) as source:
            plan = await make_plan(config, ReplayConfig(FAULT[0] - 60.0, end, 60.0), source, knowledge)
            loop = Loop(plan.config, plan.read(source), Scratch(), knowledge)
            journal = Journal(plan.start, plan.end, plan.stride, read_holds((), None))
            until = [moment for moment in plan.moments() if moment <= FAULT[0] + 240.0]
            await replay(loop, until, journal, lambda _, at=loop, to=results: to.append(at.published.result.as_dict()))  # type: ignore[misc,union-attr]
        bodies.append(results)
    assert len(bodies[0]) == 6
    assert bodies[0] == bodies[1]


def test_the_day_with_the_fault_and_the_quiet_day(past: tuple[str, Path], capfdbinary: Any):
    """The fault is found within two minutes, alerted, and answered; the quiet day has none of it."""
    assert main(_flags(past, FAULT[0] - 300, FAULT[1] + 300, "--json")) == ExitCode.OK
    found = orjson.loads(capfdbinary.readouterr().out)
    assert found["whole"]
    (alert,) = found["alerts"]
    assert alert["service"] == "shop"
    assert FAULT[0] <= alert["found"] <= FAULT[0] + 180.0
    assert alert["seen"] == pytest.approx(FAULT[1], abs=120.0)
    incident = next(one for one in found["incidents"] if "shop" in one["services"])
    assert FAULT[0] <= incident["found"] <= FAULT[0] + 120.0
    assert any(one["service"] == "shop" and one["found"] >= FAULT[0] for one in found["recommendations"])
    assert found["by_detector"]["threshold"] == 1

    assert main(_flags(past, *QUIET, "--json", "--step=10m")) == ExitCode.OK
    quiet = orjson.loads(capfdbinary.readouterr().out)
    assert (quiet["cycles"], quiet["cycles_without_data"]) == (145, 0)
    assert quiet["counts"]["alerts"] == quiet["counts"]["recommendations"] == 0
    assert quiet["counts"]["findings"] <= 2
    assert quiet["per_day"]["alerts"]["rate"] == 0
    # Nothing in a day does not say that nothing will come: the bound is 3 a day.
    assert quiet["per_day"]["alerts"]["at_most"] == pytest.approx(-math.log(0.05), rel=0.01)


def test_another_limit_answers_what_it_would_have_done(past: tuple[str, Path], build: Any, tmp_path: Path, capfd: Any):
    """With a limit above the fault nothing alerts; with a wait that is longer than the fault neither."""
    outcomes = []
    for changes in (
        {"warning": 0.2, "critical": 9.0},
        {"warning": 5.0, "critical": 9.0},
        {"warning": 0.2, "for": "1h"},
    ):
        entry = {"signal": "db_query_time_p95", "record": "queries", "critical": 9.0, **changes}
        limits = tmp_path / "thresholds.yml"
        limits.write_text(build.thresholds(build.threshold(**entry)))
        limited = f"--thresholds.file={limits}"
        flags = _flags(past, FAULT[0] - 300, FAULT[0] + 900, limited, "--json", "--step=3m")
        assert main(flags) == ExitCode.OK
        outcomes.append(orjson.loads(capfd.readouterr().out)["counts"]["alerts"])
    assert outcomes == [1, 0, 0]


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ((END, END - HOUR), ExitCode.USAGE, "is not before"),
        ((END - HOUR, 4e9), ExitCode.USAGE, "in the future"),
        ((END - 90 * DAY, END - 80 * DAY), ExitCode.SOURCE_UNAVAILABLE, "has no data"),
        ((END - 9 * DAY, END), ExitCode.SOURCE_UNAVAILABLE, "begin there with --from="),
    ],
)
def test_a_past_that_is_not_there(
    past: tuple[str, Path], capfd: Any, asked: tuple[float, float], code: ExitCode, words: str
):
    """One sentence and the documented exit code."""
    assert main(_flags(past, *asked)) == code
    out, err = capfd.readouterr()
    assert not out
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_no_prometheus_and_no_moment(past: tuple[str, Path], free_port: int, capfd: Any):
    """An address where nobody answers, and words that are no moment."""
    elsewhere = (f"http://127.0.0.1:{free_port}", past[1])
    assert main(_flags(elsewhere, *QUIET)) == ExitCode.SOURCE_UNAVAILABLE
    assert "does not answer" in capfd.readouterr().err
    for text in ("yesterday", "-5", "nan", "2026-13-01", "1e99"):
        assert main(["replay", f"--from={text}", "--to=0"]) == ExitCode.USAGE
        assert "is not a moment" in capfd.readouterr().err
    assert main(["replay", "--from=1d"]) == ExitCode.USAGE
    assert "--to is required" in capfd.readouterr().err


def test_ctrl_c_prints_what_was_found_so_far(past: tuple[str, Path], capfd: Any, monkeypatch: pytest.MonkeyPatch):
    """The summary says what was not analyzed."""

    @contextlib.contextmanager
    def interrupting(_: object) -> Iterator[Callable[[Journal], None]]:
        yield lambda journal: os.kill(os.getpid(), signal.SIGINT) if journal.cycles == 5 else None

    monkeypatch.setattr("perfloop_analyzer.cli.show_progress", interrupting)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    try:
        assert main(_flags(past, *QUIET)) == ExitCode.INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, before)
    out, err = capfd.readouterr()
    assert out.startswith("In the ")
    assert "Not analyzed: the rest until" in out
    assert not err


class Recorded:
    """A source of series that come and go, which refuses answers that are too long."""

    def __init__(self, longest: int = 11_000) -> None:
        self._longest = longest
        self.grids: list[Grid] = []

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Answer each moment by itself."""
        self.grids.append(grid)
        batches, failures = {}, {}
        for query in queries:
            if query.expr == "broken" or grid.points > self._longest:
                failures[query.signal] = f"{query.signal}: no"
                continue
            steps = np.rint(grid.times()).astype(np.int64)
            rows = [np.where(steps // (600 * (row + 1)) % 3 != row, steps * (row + 1.0), np.nan) for row in range(3)]
            there = [row for row in range(3) if np.isfinite(rows[row]).any()]
            labels = tuple({"service": query.expr, "row": str(row)} for row in there)
            values = np.array([rows[row] for row in there]).reshape(len(there), grid.points)
            batches[query.signal] = Batch(query.signal, grid, labels, values)
        return Responses(batches, failures, sum(batch.values.size for batch in batches.values()))

    async def scrape_interval(self) -> float | None:
        """Nothing is known of it."""


@pytest.mark.parametrize("longest", [11_000, 300, 61])
async def test_windows_are_cut_as_prometheus_would_answer_them(longest: int):
    """The same series, order and values as a query for the window alone, in some dozen rounds, none beyond the end."""
    end, stride, width = 100_000.0, 30.0, 60
    direct, below = Recorded(), Recorded(longest)
    strides = {(15.0, width): 15.0, (15.0, 2): 15.0, (600.0, 20): 600.0, (1.0, 3): stride}
    reader = ReadAhead(below, end, strides, 20_000_000, ["unread"])
    queries = [Query("a", "a"), Query("b", "b"), Query("c", "broken")]
    moments = np.arange(50_000.0, end + 1, stride)
    for at in moments:
        for step, points in ((15.0, width), (600.0, 20), *([(15.0, 2)] if 60_000 < at < 61_000 or at > 99_000 else [])):
            last = at - at % 600 if step == 600.0 else at
            grid = Grid(last - step * (points - 1), step, points)
            found, expected = await reader.query(queries, grid), await direct.query(queries, grid)
            assert set(found.failures) == set(expected.failures) == {"c"}
            for name, batch in expected.batches.items():
                assert found.batches[name].grid == batch.grid
                assert found.batches[name].labels == batch.labels
                np.testing.assert_array_equal(found.batches[name].values, batch.values)
        burn = await reader.query([Query("d", "d")], Grid(at - 2.0, 1.0, 3))
        now = await direct.query([Query("d", "d")], Grid(at, 1.0, 1))
        np.testing.assert_array_equal(burn.batches["d"].values[:, -1], now.batches["d"].values[:, -1])
    assert all(grid.end <= end for grid in below.grids)
    assert len(below.grids) < (60 if longest > 10_000 else len(moments))
    refused = await reader.query([Query("e", "unread"), Query("f", "a")], Grid(at - 15.0, 15.0, 2))
    assert (set(refused.failures), set(refused.batches)) == ({"e"}, {"f"})


def _recommendation(name: str, action: str) -> Recommendation:
    return Recommendation(name, "rule", "shop", "api", "tune", "high", "Title", action, "low", "none", (), ())


def test_the_scratch_store_remembers_as_the_database_does(rng: np.random.Generator):
    """Over hours of random comings and goings: the same states and starts."""
    database, scratch, at = Database("sqlite://"), Scratch(), 1e6
    states = set()
    for cycle in range(300):
        watched = float(rng.choice([60.0, 600.0, 2700.0]))
        at += watched
        names = [name for name, often in (("a", 0.9), ("b", 0.3), ("c", 0.05)) if rng.random() < often]
        found = [_recommendation(name, f"action {cycle}") for name in names]
        assert scratch.merge(found, at, watched) == database.merge(found, at, watched)
        assert scratch.recommendations() == database.recommendations()
        states |= {one.state for one in scratch.recommendations()}
    assert states == {"open", "healed"}
    database.close()


def _result(at: float, *findings: Finding, health: bool = True) -> Result:
    return Result(at, (Health("shop", 100.0, {}),) if health else (), findings)


def test_a_journal_counts_each_thing_once(build: Any):
    """What is missed for two minutes goes on; what began after it was last seen is another one."""
    journal = Journal(0.0, 6000.0, 60.0, lambda *_: 90.0)
    first, second = build.finding(onset=600.0), build.finding(onset=3000.0, severity=Severity.CRITICAL)
    for at in np.arange(0.0, 6001.0, 60.0):
        there = [first] if 600 <= at < 1200 and at != 900 else [second] if 3000 <= at < 3090 else []
        journal.observe(_result(at, *there, health=at < 5400))
    assert [(one.began, one.found, one.seen) for one in journal.findings] == [(600, 600, 1140), (3000, 3000, 3060)]
    # The first is beyond its limit for 90 s, is missed once, and begins to wait again; the second is not long enough.
    assert [(one.found, one.body["severity"]) for one in journal.alerts] == [(720, "warning")]
    assert journal.is_whole
    assert journal.blind == 11
    assert journal.days == pytest.approx(90 / 1440)
    lines = list(certificate_lines(journal))
    assert "0 incidents, 2 findings, 1 alert, 0 recommendations" in lines[0]
    assert "Alerts by the limits" in lines
    assert not Journal(0.0, 6000.0, 60.0, lambda *_: 0.0).is_whole


def test_a_critical_limit_waits_for_itself(build: Any):
    """A warning that becomes critical alerts as critical once that lasted; burn rates do not wait."""
    text = build.thresholds(build.threshold(**{"signal": "db_query_time_p95", "for": "1m", "critical_for": "5m"}))
    hold = read_holds((build.signal(),), parse_thresholds(text, "thresholds.yml"))
    finding = build.finding(onset=0.0)
    assert [hold(finding, one) for one in (Severity.WARNING, Severity.CRITICAL)] == [60.0, 300.0]
    assert hold(replace(finding, signal="db_query_time_p95@/a"), Severity.CRITICAL) == 300.0
    assert hold(replace(finding, detector="burn"), Severity.CRITICAL) == 0.0
    assert hold(replace(finding, signal="other"), Severity.CRITICAL) == 60.0
    journal = Journal(0.0, 1200.0, 60.0, hold)
    for at in np.arange(0.0, 1201.0, 60.0):
        grade = Severity.CRITICAL if at >= 600 else Severity.WARNING
        journal.observe(_result(at, replace(finding, severity=grade)))
    assert [(one.found, one.body["severity"]) for one in journal.alerts] == [(60, "warning"), (900, "critical")]


async def test_a_failure_in_the_middle_keeps_what_was_found(build: Any):
    """The first cycle's failure is the replay's; a later one ends it, and is said."""

    class Ending:
        failure = None

        async def cycle(self, at: float) -> Result | None:
            return _result(at, build.finding()) if at < 3 else None

    journal = Journal(0.0, 9.0, 1.0, lambda *_: 0.0)
    await replay(Ending(), range(9), journal, lambda _: None)  # type: ignore[arg-type]
    assert journal.cycles == 3
    assert "no result" in journal.as_dict()["problem"]
    with pytest.raises(Exception, match="no result"):
        await replay(Ending(), range(5, 9), Journal(5.0, 9.0, 1.0, lambda *_: 0.0), lambda _: None)  # type: ignore[arg-type]
