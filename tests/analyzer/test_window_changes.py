"""Steps within the window, and what the history's season explains of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from perfloop_analyzer.catalog import Limit, Signal
from perfloop_analyzer.detectors.change_point import find_change_points, shifted_rows
from perfloop_analyzer.pipeline import Knowledge, analyze
from perfloop_analyzer.pipeline.changes import Window, find_changes
from perfloop_analyzer.pipeline.detect import Settings
from perfloop_analyzer.pipeline.history import History, learn
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.ports import Responses
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
    return find_changes(Subject(batch, SIGNAL, "1m"), Settings(level=1e-4, history=history), readings)[0], readings


def test_what_rises_every_day_is_no_change() -> None:
    """The season that the history taught is taken out first; without it the same window holds a change."""
    window = _batch(Grid(NOON - 720.0, 5.0, 240), 2)
    assert find_change_points(window.values)
    assert not find_change_points(Window(Subject(window, SIGNAL, "1m"), _history()).values)
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


def _flat(level: np.ndarray, seed: int) -> Batch:
    noise = 0.002 * np.random.default_rng(seed).standard_normal((1, 240))
    return Batch(SIGNAL.name, Grid(NOON, 5.0, 240), ({"service": "shop"},), 0.1 + noise + level)


def test_a_level_that_the_window_had_before_is_no_finding() -> None:
    """A queue that fills for the second time is published as a change, and is no finding."""
    found, readings = _found(_flat(np.repeat([0.0, 0.05, 0.0, 0.05], [90, 30, 80, 40]), 5), History())
    assert not found
    assert any(reading.name == "change_point_timestamp_seconds" for reading in readings)
    assert _found(_flat(np.repeat([0.0, 0.05], [200, 40]), 5), History())[0]


def test_a_level_that_the_history_had_before_is_no_finding() -> None:
    """What days of history had for as long is normal, in the first window that shows it as in any other."""
    step = _flat(np.repeat([0.0, 0.05], [180, 60]), 6)
    week = Batch(SIGNAL.name, Grid(NOON - 1007 * STEP, STEP, 1008), step.labels, np.full((1, 1008), 0.1))
    week.values[0, ::40] = 0.15
    week.values[0] += 0.002 * np.random.default_rng(7).standard_normal(1008)
    busy = learn({SIGNAL.name: week}, {SIGNAL.name: SIGNAL}, "1m", 1e-4)
    week.values[0, ::40] = 0.1
    calm = learn({SIGNAL.name: week}, {SIGNAL.name: SIGNAL}, "1m", 1e-4)
    assert not _found(step, busy)[0]
    assert _found(step, calm)[0]


def test_a_level_that_was_left_again_is_no_step() -> None:
    """Half an excursion and half of the time after it are no new level."""
    assert not _found(_flat(np.repeat([0.0, 0.05, 0.0], [180, 30, 30]), 8), History())[0]


def test_a_step_is_one_finding_with_its_life() -> None:
    """It is reported once, from when it is clear until the window no longer shows where it began."""
    signal = SIGNAL.model_copy(update={"detect": ("change",)})
    level = np.repeat([0.0, 0.012], [300, 240])
    values = 0.1 + level + 0.002 * np.random.default_rng(9).standard_normal(540)
    knowledge, reported, onsets = Knowledge((signal,), ()), [], set()
    for end in range(240, 540, 2):
        grid = Grid(NOON + 5.0 * (end - 240), 5.0, 240)
        batch = Batch(signal.name, grid, ({"service": "shop"},), values[None, end - 240 : end])
        result = analyze(Responses({signal.name: batch}, {}), knowledge, grid.end)
        knowledge = replace(knowledge, settings=replace(knowledge.settings, memory=result.memory))
        reported.append(bool(result.findings))
        onsets |= {finding.onset for finding in result.findings}
    assert np.abs(np.diff(np.array(reported, dtype=int))).sum() == 2
    assert sum(reported) > 60
    assert len(onsets) == 1


def test_noise_that_remembers_is_not_searched() -> None:
    """The search for steps costs a hundred times as much as the screen: rows that always wander are left out."""
    rng = np.random.default_rng(10)
    values = rng.standard_normal((300, 240))
    for at in range(1, 240):
        values[:, at] = 0.9 * values[:, at - 1] + np.sqrt(0.19) * values[:, at]
    assert len(shifted_rows(values)) < 100
    values[:, 200:] += 8.0
    assert len(shifted_rows(values)) == 300
