"""Degradation over time: found within hours and within lists of samples, and not seen in the rhythm of a day."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from perfloop_analyzer import OptimizationAnalyzer
from perfloop_analyzer.catalog import Signal, load_catalog
from perfloop_analyzer.detectors.drift import find_drifts, growth_of
from perfloop_analyzer.detectors.multiple import cycle_level
from perfloop_analyzer.pipeline import Knowledge, analyze, learn
from perfloop_analyzer.pipeline.detect import Settings
from perfloop_analyzer.pipeline.history import history_queries
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.series import Batch, Grid

LONG = bool(os.environ.get("PERFLOOP_LONG_TESTS"))
START = 1_790_000_000.0
DAY = 86_400.0
STEP, WEEK = 600.0, 1008
CATALOG = {one.name: one for one in load_catalog()}
LEVEL = cycle_level(300.0)


def _names(analysis: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["signal"], one["detector"]) for one in analysis["findings"]]


WORSENING = {
    "api_response_time_ms": (100, 700, 0.15),
    "database_query_time_ms": (20, 80, 0.2),
    "error_rate_percent": (0.1, 3.0, 0.3),
    "cache_hit_rate_percent": (96, 82, 0.01),
    "cpu_percent": (20, 60, 0.1),
    "my_own_measure": (5, 12, 0.1),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", WORSENING)
@pytest.mark.parametrize("power", [1.0, 1.7])
def test_two_hundred_samples_that_get_worse_are_a_finding(seed: int, name: str, power: float) -> None:
    """No limit is broken yet: the trend is found, costs health, and has a recommendation."""
    first, last, noise = WORSENING[name]
    rng = np.random.default_rng(seed)
    values = (first + (last - first) * np.linspace(0, 1, 200) ** power) * rng.normal(1, noise, 200)
    analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": {name: values}})
    # A signal with a capacity may have a forecast instead, which is worse.
    assert [detector for _, detector in _names(analysis)] in (["trend"], ["forecast"] * (name == "cpu_percent"))
    assert analysis["system_health_score"] < 100
    assert len(analysis["recommendations"]) >= 1
    finding = analysis["findings"][0]
    scale = finding["value"] / values[-20:].mean()
    assert finding["expected"] / scale == pytest.approx(first, rel=0.5, abs=0.3 * abs(last - first))


def _week(rng: np.random.Generator, first: float, last: float, rhythm: float, step: float = 3600.0) -> list[Any]:
    at = np.arange(0, 7 * DAY, step)
    daily = 1 + rhythm * np.sin(2 * np.pi * (at / DAY + rng.random()))
    values = (first + (last - first) * at / at[-1]) * daily * rng.normal(1, 0.08, len(at))
    return list(zip(START + at, values, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_a_week_that_gets_worse_is_a_finding(seed: int) -> None:
    """300 to 900 ms under the rhythm of the day."""
    rng = np.random.default_rng(seed)
    data = {"metrics": {"api_response_time_ms": _week(rng, 300, 900, 0.3)}}
    analysis = OptimizationAnalyzer().analyze_performance_data(data)
    assert ("api_response_time_p95", "trend") in _names(analysis) or analysis["system_health_score"] < 90
    assert analysis["recommendations"]


@pytest.mark.parametrize("seed", range(200 if LONG else 6))
@pytest.mark.parametrize("days", [0.3, 0.5, 0.8, 1.0, 1.4, 2.0, 3.0, 4.5, 7.0])
def test_the_rhythm_of_the_day_is_no_trend(seed: int, days: float) -> None:
    """Latency and load swing together, three times as high at noon as at night; any part of a day, or several."""
    rng = np.random.default_rng(seed)
    at = np.arange(0, days * DAY, 300.0)
    day = 1 + 0.5 * np.sin(2 * np.pi * (at / DAY + rng.random()))
    values = 200 * day * rng.normal(1, 0.1, len(at))
    pairs = list(zip(START + at, values, strict=True))
    load = list(zip(START + at, 100 * day * rng.normal(1, 0.1, len(at)), strict=True))
    for metrics in ({"api_response_time_ms": pairs}, {"api_response_time_ms": pairs, "requests_per_second": load}):
        analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": metrics})
        assert "trend" not in {detector for _, detector in _names(analysis)}


@pytest.mark.parametrize("seed", range(10))
def test_noise_has_no_trend(seed: int) -> None:
    """White, heavy-tailed, and with a memory."""
    rng = np.random.default_rng(seed)
    memory = np.zeros(200)
    for at in range(1, 200):
        memory[at] = 0.8 * memory[at - 1] + rng.standard_normal()
    metrics = {"a_ms": rng.normal(100, 20, 200), "b_ms": 50 * rng.pareto(2.5, 200) + 50, "c_ms": 200 + 20 * memory}
    analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": metrics})
    assert "trend" not in {detector for _, detector in _names(analysis)}


def _history(hours: float, values: np.ndarray, name: str, load: np.ndarray | None = None) -> Any:
    """Return what the service learns from a history that is empty before its newest hours."""
    rows = {name: values} | ({"request_rate": load} if load is not None else {})
    grid = Grid(START, STEP, WEEK)
    batches = {}
    for signal, row in rows.items():
        whole = np.full(WEEK, np.nan)
        whole[-len(row) :] = row
        batches[signal] = Batch(signal, grid, ({"service": "shop"},), whole[None, :])
    assert len(values) == round(hours * 6)
    return learn(batches, CATALOG, "1m", LEVEL)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("name", "first", "last"), [("api_response_time_p95", 0.1, 0.7), ("error_ratio", 0.001, 0.03)])
def test_the_service_finds_a_degradation_within_hours(seed: int, name: str, first: float, last: float) -> None:
    """Six hours of data under a steady load; the finding has a recommendation in the next cycle."""
    rng = np.random.default_rng(seed)
    rise = np.linspace(first, last, 36) * rng.normal(1, 0.1, 36)
    history = _history(6, rise, name, 50 * rng.normal(1, 0.05, 36))
    assert [one.detector for one in history.findings] == ["trend"]
    assert history.findings[0].onset == START + STEP * (WEEK - 36)
    at = START + STEP * WEEK
    window = Batch(name, Grid(at - 15.0 * 239, 15.0, 240), ({"service": "shop"},), np.full((1, 240), rise[-1]))
    knowledge = Knowledge(tuple(CATALOG.values()), load_rules(), settings=Settings(history=history))
    result = analyze(Responses({name: window}, {}), knowledge, at)
    assert [one.rule for one in result.recommendations] == ["slow_drift"]
    assert result.health[0].score < 100


def test_the_load_explains_what_rises_with_it() -> None:
    """Three times the latency under three times the load is the morning; under the same load it is not."""
    rng = np.random.default_rng(1)
    rise = np.linspace(0.1, 0.35, 48) * rng.normal(1, 0.05, 48)
    morning, steady = np.linspace(20, 60, 48), np.full(48, 20.0)
    assert not _history(8, rise, "api_response_time_p95", morning).findings
    assert _history(8, rise, "api_response_time_p95", steady).findings
    assert growth_of(morning) == pytest.approx(2.0, rel=0.2)
    assert np.isnan(growth_of(np.zeros(48)))
    assert "request_rate" in {query.signal for query in history_queries(CATALOG, "1m")}


@pytest.mark.parametrize("seed", range(200 if LONG else 4))
@pytest.mark.parametrize("hours", [3, 6, 12, 20, 30, 48, 72, 96])
def test_a_young_service_has_no_false_trend(seed: int, hours: int) -> None:
    """The rhythm of the day in every signal, with its load; each begins at another hour."""
    rng = np.random.default_rng(seed)
    count = hours * 6
    day = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(count) / 144 + rng.random()))
    load = 40 * day * rng.normal(1, 0.05, count)
    for name, level in (("api_response_time_p95", 0.2), ("error_ratio", 0.004), ("cpu_used_ratio", 0.3)):
        found = _history(hours, level * day * rng.normal(1, 0.1, count), name, load).findings
        assert not [one for one in found if one.detector == "trend"], name


def test_a_resource_that_grows_without_its_load_is_found() -> None:
    """Memory that doubles in eight hours under a steady load; under an unknown one nothing is said of it."""
    rng = np.random.default_rng(6)
    rise = np.linspace(2e8, 5e8, 48) * rng.normal(1, 0.03, 48)
    assert _history(8, rise, "process_resident_memory_bytes", np.full(48, 20.0)).findings
    assert not _history(8, rise, "process_resident_memory_bytes").findings
    hours = list(zip(START + 600 * np.arange(48), rise / 1e7, strict=True))
    analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": {"my_queue": hours}})
    assert analysis["findings"] == []  # two and a half times: the rhythm of a day, if nothing is known of the load
    steep = [(at, value**2) for at, value in hours]
    analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": {"my_queue": steep}})
    assert _names(analysis) == [("my_queue", "trend")]


def test_a_step_and_a_bump_are_no_drift() -> None:
    """A level that jumps, or comes back, does not rise all the time."""
    rng = np.random.default_rng(4)
    noise = rng.normal(0, 2, 60)
    step, bump = np.r_[np.full(52, 100), np.full(8, 300)], np.r_[np.full(25, 100), np.full(10, 300), np.full(25, 100)]
    for values in (step + noise, bump + noise):
        assert not find_drifts(values[None, :], STEP).is_steady[0]
    assert find_drifts(np.linspace(100, 300, 60)[None, :] + noise, STEP).is_steady[0]


def test_two_days_are_compared_with_each_other() -> None:
    """A day's rhythm under a growth: the growth of a day is what the second has more than the first."""
    rng = np.random.default_rng(2)
    clock = np.arange(288)
    values = 100 * (1 + 0.4 * np.sin(2 * np.pi * clock / 144)) + clock * 100 / 144 + rng.normal(0, 3, 288)
    drifts = find_drifts(values[None, :], STEP)
    assert drifts.before[0] == pytest.approx(100, abs=15)
    assert drifts.after[0] == pytest.approx(300, abs=15)
    assert drifts.is_steady[0]
    assert drifts.p_value[0] < 1e-3


def test_a_signal_of_its_own_catalogue_is_found_too() -> None:
    """Without any load known it has to rise farther."""
    signal = Signal(name="mine", expr="m", component="api", kind="red", unit="seconds", detect=("trend",))
    row = np.full(WEEK, np.nan)
    row[-60:] = np.linspace(1.0, 5.0, 60)
    batch = Batch("mine", Grid(START, STEP, WEEK), ({"service": "shop"},), row[None, :])
    assert len(learn({"mine": batch}, {"mine": signal}, "1m", LEVEL).findings) == 1
    row[-60:] = np.linspace(1.0, 3.0, 60)
    assert not learn({"mine": batch}, {"mine": signal}, "1m", LEVEL).findings
