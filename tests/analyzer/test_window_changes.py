"""Steps within the window, and what the history's season explains of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from perfloop_analyzer.catalog import Limit, Signal
from perfloop_analyzer.detectors.change_point import find_change_points
from perfloop_analyzer.pipeline.changes import find_changes, without_season
from perfloop_analyzer.pipeline.history import History, learn
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.series import Batch, Grid

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding, Reading

DAY, STEP = 86_400.0, 600.0
NOON = 1_700_006_400.0 + 0.5 * DAY
SIGNAL = Signal(
    name="api_response_time_p95",
    expr="x",
    component="api",
    kind="red",
    unit="s",
    limit=Limit(warning=5.0),
    detect=("anomaly", "change"),
)


def _rush_hour(times: np.ndarray) -> np.ndarray:
    """Return a level that doubles within ten minutes, every day at noon."""
    return 0.1 + 0.1 * np.clip((times - NOON) % DAY / STEP, 0.0, 1.0) * ((times - NOON) % DAY < 0.25 * DAY)


def _batch(grid: Grid, seed: int) -> Batch:
    noise = 0.002 * np.random.default_rng(seed).standard_normal((1, grid.points))
    return Batch(SIGNAL.name, grid, ({"service": "shop"},), _rush_hour(grid.times()) + noise)


def _history() -> History:
    week = Batch(SIGNAL.name, Grid(NOON - 7 * DAY, STEP, 7 * 144), ({"service": "shop"},), np.empty((1, 0)))
    values = _rush_hour(week.grid.times())[None, :] + 0.002 * np.random.default_rng(1).standard_normal((1, 7 * 144))
    return learn({SIGNAL.name: replace(week, values=values)}, {SIGNAL.name: SIGNAL}, "1m", 1e-4)


def _found(batch: Batch, history: History) -> tuple[list[tuple[Finding, float]], list[Reading]]:
    readings: list[Reading] = []
    return find_changes(Subject(batch, SIGNAL, "1m"), history, 1e-4, readings), readings


def test_what_rises_every_day_is_no_change() -> None:
    """The season that the history taught is taken out first; without it the same window holds a change."""
    window = _batch(Grid(NOON - 720.0, 5.0, 240), 2)
    assert find_change_points(window.values)
    assert not find_change_points(without_season(window, _history()))
    assert _found(window, _history()) == ([], [])


def test_a_step_on_a_learned_rise_is_found_with_its_levels() -> None:
    """The season hides nothing."""
    window = _batch(Grid(NOON - 720.0, 5.0, 240), 3)
    window.values[0, 200:] += 0.1
    found, readings = _found(window, _history())
    assert [finding.detector for finding, _ in found] == ["change_point"]
    value = {reading.name: reading.value for reading in readings}
    assert value["change_point_timestamp_seconds"] == pytest.approx(NOON - 720.0 + 200 * 5.0, abs=10.0)
    assert value["change_point_after"] - value["change_point_before"] == pytest.approx(0.1, abs=0.02)


def test_a_level_that_begins_to_climb_is_no_step() -> None:
    """A bend is left to the trends: its levels before and after are the same."""
    grid = Grid(NOON - 8 * 3600.0, 5.0, 240)
    window = _batch(grid, 4)
    window.values[0] += 0.002 * np.maximum(0, np.arange(240) - 120)
    assert _found(window, History()) == ([], [])
