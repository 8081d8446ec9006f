"""The analysis of a whole cycle on synthetic data: what is found, what is not, and that health adds up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.catalog import Limit, load_catalog
from perfloop_analyzer.findings import OVERALL, Finding, Severity
from perfloop_analyzer.pipeline import (
    Knowledge,
    NoveltyWatch,
    Settings,
    analyze,
    history_queries,
    learn,
    pack,
    unpack,
)
from perfloop_analyzer.pipeline.burns import burn_queries, find_burning
from perfloop_analyzer.pipeline.detect import detect_all
from perfloop_analyzer.pipeline.health import score_health
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.series import Batch, Grid


def _batch(values: Any, signal: str, **labels: str) -> Batch:
    rows = np.atleast_2d(np.asarray(values, dtype=np.float64))
    return Batch(signal, Grid(1e6, 5.0, rows.shape[1]), tuple({"service": "shop", **labels} for _ in rows), rows)


def _knowledge() -> Knowledge:
    return Knowledge(load_catalog(), load_rules(), settings=Settings(level=1e-4))


def _noise(rng: np.random.Generator, level: float, spread: float) -> np.ndarray:
    return level + spread * rng.standard_normal(240)


def test_slow_queries_from_end_to_end(rng: np.random.Generator) -> None:
    """A slow database is found, ranked before the API, scored and answered by a recommendation."""
    database, api = _noise(rng, 0.02, 0.001), _noise(rng, 0.1, 0.005)
    database[-4:] += 0.5
    api[-4:] += 1.5
    batches = {
        "db_query_time_p95": _batch(database, "db_query_time_p95", db_system_name="sqlite"),
        "api_response_time_p95": _batch(api, "api_response_time_p95"),
    }
    result = analyze(Responses(batches, {}), _knowledge(), 1e6)
    assert result.incidents[0].causes[0].component == "database"
    assert result.recommendations[0].rule == "slow_queries"
    shop = next(one for one in result.health if one.service == "shop")
    assert shop.score == 100.0 - sum(shop.penalties.values())
    assert set(shop.penalties) == set(batches)


def test_a_quiet_day_is_silent(rng: np.random.Generator) -> None:
    """Noise inside the limits gives neither finding nor penalty."""
    batches = {"db_query_time_p95": _batch(_noise(rng, 0.02, 0.002), "db_query_time_p95")}
    result = analyze(Responses(batches, {}), _knowledge(), 1e6)
    assert result.findings == ()
    assert {100.0} == {one.score for one in result.health}


def test_without_responses_nothing_is_reported() -> None:
    """No data is not health."""
    result = analyze(Responses({}, {"cpu_used_ratio": "no answer"}), _knowledge(), 1e6)
    assert (result.health, result.findings, result.recommendations) == ((), (), ())
    assert result.failures == {"cpu_used_ratio": "no answer"}


def test_an_anomaly_within_the_limits_is_a_finding(rng: np.random.Generator) -> None:
    """Memory that grows by a hundred megabytes in seconds is reported long before any limit."""
    values = _noise(rng, 100e6, 1e5)
    values[-4:] += 100e6
    batches = {"process_resident_memory_bytes": _batch(values, "process_resident_memory_bytes")}
    (finding,) = analyze(Responses(batches, {}), _knowledge(), 1e6).findings
    assert (finding.detector, finding.severity) == ("anomaly", Severity.WARNING)
    assert finding.onset == pytest.approx(1e6 + 236 * 5.0)
    assert finding.p_value is not None


def test_readings_hold_value_band_and_score(rng: np.random.Generator) -> None:
    """A panel needs the value with its band, whether or not anything is wrong."""
    batches = {"db_query_time_p95": _batch(_noise(rng, 0.02, 0.002), "db_query_time_p95")}
    names = {reading.name for reading in analyze(Responses(batches, {}), _knowledge(), 1e6).readings}
    assert {"signal_value", "anomaly_score", "anomaly_expected", "anomaly_lower", "anomaly_upper"} <= names


def test_each_service_is_judged_by_its_own_limit(build: Any) -> None:
    """What is too slow for one service is usual for another that has an override."""
    signal = build.signal(own_limits={"batch": Limit(warning=5.0, critical=9.0)}, detect=("threshold",))
    labels = ({"service": "shop"}, {"service": "batch"}, {"service": "batch", "part": "b"})
    values = np.array([[0.3] * 30, [0.3] * 30, [6.0] * 30])
    batch = Batch(signal.name, Grid(1e6, 5.0, 30), labels, values)
    found = detect_all({signal.name: batch}, {signal.name: signal}, Settings()).findings
    assert [(one.service, one.limit, one.severity.word) for one in found] == [
        ("shop", 0.1, "critical"),
        ("batch", 5.0, "warning"),
    ]


def test_a_burn_keeps_its_onset_and_ends_with_its_short_window() -> None:
    """The workbook's rule: the long window alone, still full of old errors, keeps no finding alive."""
    table = {signal.name: signal for signal in load_catalog()}
    batches = {name: _batch([0.05] * 3, name) for name in ("error_ratio@1h", "error_ratio@5m")}
    batches["request_rate@1h"] = _batch([9.0] * 3, "request_rate@1h")
    (first,), _ = find_burning(batches, table)
    later = {name: replace(one, grid=Grid(one.grid.start + 60.0, 1.0, 3)) for name, one in batches.items()}
    (still,), _ = find_burning(later, table, [first])
    assert still.onset == first.onset
    later["error_ratio@5m"] = _batch([0.0] * 3, "error_ratio@5m")
    assert find_burning(later, table, [still])[0] == []


def test_a_step_that_stays_is_a_change_point(build: Any, rng: np.random.Generator) -> None:
    """A level that moved minutes ago within its limits is reported with both levels."""
    signal = build.signal(limit=Limit(), min_deviation=0.002, detect=("change",))
    values = _noise(rng, 0.02, 0.001)
    values[-60:] += 0.008
    found = detect_all({signal.name: build.batch(values)}, {signal.name: signal}, Settings(level=1e-4))
    (finding,) = found.findings
    assert finding.detector == "change_point"
    assert finding.expected == pytest.approx(0.02, abs=0.001)
    assert any(reading.name == "change_point_timestamp_seconds" for reading in found.readings)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d", "e", "f"]),
            st.sampled_from(["shop", "web"]),
            st.sampled_from(list(Severity)),
            st.floats(0, 50),
            st.sampled_from(["use", "red"]),
        ),
        max_size=40,
    )
)
def test_health_adds_up_to_the_bit(rows: list[tuple[str, str, Severity, float, str]]) -> None:
    """Score and penalties sum to one hundred exactly, whatever was found; the score stays within its range."""
    findings = [
        Finding("threshold", signal, signal, service, "api", kind, severity, 1.0, 1.0, 0.0, score=score)
        for signal, service, severity, score, kind in rows
    ]
    for one in score_health(findings, ["shop", "mail"]):
        assert one.score + sum(one.penalties.values()) == 100.0
        assert 0.0 <= one.score <= 100.0


def test_overall_takes_the_worst_of_each_signal(build: Any) -> None:
    """The whole is never healthier than its worst part."""
    scores = {one.service: one.score for one in score_health([build.finding()], ["shop", "web"])}
    assert scores[OVERALL] == scores["shop"] < scores["web"]


def test_seasons_are_learned_kept_and_used(build: Any, rng: np.random.Generator) -> None:
    """The nightly peak is expected at night; what was learned survives packing."""
    grid = Grid(0.0, 600.0, 144 * 7)
    wave = 0.05 + 0.03 * np.sin(2 * np.pi * grid.times() / 86_400) + rng.normal(0, 0.001, grid.points)
    signal = build.signal(limit=Limit())
    history = Batch(signal.name, grid, ({"service": "shop"},), wave[None, :])
    learned = unpack(pack(learn({signal.name: history}, {signal.name: signal}, "1m", 1e-4)))
    peak = 86_400.0 * 7 + 6 * 3600
    now = Batch(signal.name, Grid(peak - 239 * 5, 5.0, 240), ({"service": "shop"},), _noise(rng, 0.08, 0.001)[None, :])
    found = detect_all({signal.name: now}, {signal.name: signal}, Settings(level=1e-4, history=learned))
    expected = next(reading.value for reading in found.readings if reading.name == "anomaly_expected")
    assert expected == pytest.approx(0.08, abs=0.005)


def test_a_filling_volume_is_forecast_from_history(build: Any, rng: np.random.Generator) -> None:
    """Days of growth give seconds until full, with bounds."""
    signal = build.signal(
        name="disk", kind="use", unit="ratio", detect=("forecast",), limit=Limit(warning=0.95, capacity=1.0)
    )
    grid = Grid(0.0, 600.0, 1008)
    fill = np.linspace(0.5, 0.8, 1008) + rng.normal(0, 0.002, 1008)
    batch = Batch("disk", grid, ({"service": "shop"},), fill[None, :])
    history = learn({"disk": batch}, {"disk": signal}, "1m", 1e-3)
    bounds = {reading.name.partition(":")[2]: reading.value for reading in history.readings if ":" in reading.name}
    assert bounds["expected"] == pytest.approx(0.2 / 0.3 * 7 * 86_400, rel=0.1)
    assert bounds["lower"] <= bounds["expected"] <= bounds["upper"]
    assert "forecast" in {finding.detector for finding in history.findings}


def test_error_budget_burns_are_found() -> None:
    """Both windows over the factor on enough events: critical; there is a query per window."""
    table = {signal.name: signal for signal in load_catalog()}
    queried = {query.signal for query in burn_queries(table)}
    assert {"error_ratio@1h", "error_ratio@5m", "request_rate@3d"} <= queried
    batches = {name: _batch([0.05] * 3, name) for name in ("error_ratio@1h", "error_ratio@5m")}
    batches["request_rate@1h"] = _batch([9.0] * 3, "request_rate@1h")
    findings, readings = find_burning(batches, table)
    assert [(one.detector, one.severity) for one in findings] == [("burn", Severity.CRITICAL)]
    assert any(reading.name == "error_budget_burn:1h" and reading.value == pytest.approx(50) for reading in readings)
    assert find_burning({}, table) == ([], [])


def test_novelty_watch_is_fed_once_and_starts_afresh_when_series_change(build: Any, rng: np.random.Generator) -> None:
    """Only new columns are fed, and a level unlike anything before is reported."""
    signal = build.signal(limit=Limit())
    grid = Grid(0.0, 600.0, 600)
    values = 0.02 + rng.normal(0, 0.001, (1, 600))
    values[0, -2:] = 0.9
    watch, batch = NoveltyWatch(), Batch(signal.name, grid, ({"service": "shop"},), values)
    assert [signal.name] == [one.signal for one in watch.watch({signal.name: batch}, {signal.name: signal}, "1m")]
    assert watch.watch({signal.name: batch}, {signal.name: signal}, "1m") == []
    other = Batch(signal.name, grid, ({"service": "web"},), values)
    assert len(watch.watch({signal.name: other}, {signal.name: signal}, "1m")) == 1


def test_novelty_watch_feeds_empty_moments_within_the_past_alone(build: Any, rng: np.random.Generator) -> None:
    """A newest moment without data is fed once it has data; a gap in between does not move the time of day."""
    signal = build.signal(limit=Limit())
    values = 0.02 + rng.normal(0, 0.001, (1, 700))
    values[0, 300:310] = np.nan
    values[0, 649:651] = 0.9
    watch, labels = NoveltyWatch(), ({"service": "shop"},)
    early = values[:, :651].copy()
    early[0, -1] = np.nan
    first = Batch(signal.name, Grid(0.0, 600.0, 651), labels, early)
    assert watch.watch({signal.name: first}, {signal.name: signal}, "1m") == []
    late = Batch(signal.name, Grid(0.0, 600.0, 651), labels, values[:, :651])
    assert len(watch.watch({signal.name: late}, {signal.name: signal}, "1m")) == 1


@pytest.mark.parametrize(("after", "found"), [(0.02, 0), (0.3, 0), (0.6, 1)])
def test_a_value_of_one_moment_is_no_novelty(build: Any, rng: np.random.Generator, after: float, found: int) -> None:
    """Ten minutes later it must be half as far away, wherever the history is read in between."""
    signal, labels = build.signal(limit=Limit()), ({"service": "shop"},)
    values = 0.02 + rng.normal(0, 0.001, (1, 600))
    values[0, -3:] = 0.9, np.nan, after
    watch, reported = NoveltyWatch(), []
    for points in (598, 600):
        batch = Batch(signal.name, Grid(0.0, 600.0, points), labels, values[:, :points])
        reported += watch.watch({signal.name: batch}, {signal.name: signal}, "1m")
    assert len(reported) == found


def test_history_queries_what_it_can_learn_from() -> None:
    """Signals without detectors that use the history are not queried."""
    table = {signal.name: signal for signal in load_catalog()}
    queried = {query.signal for query in history_queries(table, "1m")}
    assert "cpu_used_ratio" in queried
    assert "request_rate" in queried  # the load that explains a slow rise
    assert "cpu_cores" not in queried
