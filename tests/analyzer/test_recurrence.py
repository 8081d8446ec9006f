"""Whole cycles on series that misbehave again and again: one finding with its life, and what the history taught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfloop_analyzer.catalog import Signal
from perfloop_analyzer.pipeline import Knowledge, analyze, learn
from perfloop_analyzer.pipeline.detect import Settings
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.series import Batch, Floats, Grid

POINTS, STEP = 240, 5.0
LATENCY = Signal(name="latency", expr="l", component="api", kind="red", detect=("anomaly",))


def _cycles(values: Floats, settings: Settings) -> list[bool]:
    """Return whether each cycle reports the series, while a window moves over its values."""
    knowledge = Knowledge((LATENCY,), (), settings=settings)
    reported = []
    for end in range(POINTS, len(values) + 1):
        grid = Grid(STEP * (end - POINTS), STEP, POINTS)
        batch = Batch("latency", grid, ({"service": "shop"},), values[None, end - POINTS : end])
        result = analyze(Responses({"latency": batch}, {}), knowledge, grid.end)
        knowledge = replace(knowledge, settings=replace(settings, memory=result.memory))
        reported.append(bool(result.findings))
    return reported


def _quiet(points: int) -> Floats:
    return np.asarray(10.0 + np.random.default_rng(1).standard_normal(points), dtype=np.float64)


def test_an_anomaly_is_one_from_its_beginning_to_its_end() -> None:
    """Single points within the band neither end it nor begin it again."""
    values = _quiet(POINTS + 30)
    values[POINTS + 5 : POINTS + 17] += 60.0
    values[[POINTS + 9, POINTS + 12, POINTS + 13]] -= 60.0
    reported = np.array(_cycles(values, Settings()))
    assert np.flatnonzero(np.diff(reported.astype(int))).tolist() == [7, 19]


def test_what_days_of_history_had_is_normal() -> None:
    """Bursts of ten times a week are no anomaly, in the first window that shows one as in any other."""
    values = _quiet(POINTS + 12)
    values[POINTS + 3 : POINTS + 9] += 60.0
    week = _quiet(1008)
    week[::50] += 100.0
    days = Batch("latency", Grid(0.0, 600.0, 1008), ({"service": "shop"},), week[None, :])
    history = learn({"latency": days}, {"latency": LATENCY}, "1m", 1e-3)
    assert any(_cycles(values, Settings()))
    assert not any(_cycles(values, Settings(history=history)))
