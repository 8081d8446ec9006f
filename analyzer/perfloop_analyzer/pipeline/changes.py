"""Changes of the level within the window, after the season that the history taught is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.change_point import ChangePoint, find_change_points, shifted_rows
from perfloop_analyzer.detectors.season import learned_movement
from perfloop_analyzer.detectors.segments import block_p_value
from perfloop_analyzer.findings import Finding, Reading, Severity
from perfloop_analyzer.pipeline.history import History, key_of
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from perfloop_analyzer.pipeline.subject import Subject
    from perfloop_analyzer.series import Batch, Floats

ALPHA = 1e-3  # of a change that is published; a finding needs the cycle's own level
LEAST_CHANGE = 0.05  # of the level before


def find_changes(
    subject: Subject, history: History, level: float, readings: list[Reading]
) -> list[tuple[Finding, float]]:
    """Return each series' newest step, with its p-value, if it is for the worse; all newest steps become readings.

    Only rows whose newest part differs from the rest are searched: only they can contain a step that still stands.
    """
    values = without_season(subject.batch, history)
    rows = shifted_rows(values)
    newest: dict[int, ChangePoint] = {}
    for point in find_change_points(values[rows], ALPHA):
        if point.is_step:
            newest[int(rows[point.row])] = point
    found = []
    for row, point in newest.items():
        readings += _readings(subject, row, point)
        p_value = _p_value(values[row], point)
        if p_value <= level and _matters(subject, point):
            found.append((_finding(subject, row, point, p_value), p_value))
    return found


def without_season(batch: Batch, history: History) -> Floats:
    """Return the values, shape (series, points), without what the season of the history moves within the window."""
    known = history.learned.get(batch.signal)
    if known is None or not known.rows:
        return batch.values
    rows = np.array([known.rows.get(key_of(labels), -1) for labels in batch.labels], dtype=np.int64)
    movement = learned_movement(known.profile, batch.grid.times())
    return np.asarray(batch.values - np.where(rows[:, None] >= 0, movement[rows], 0.0), dtype=np.float64)


def _readings(subject: Subject, row: int, point: ChangePoint) -> tuple[Reading, ...]:
    moment = subject.batch.grid.start + point.index * subject.batch.grid.step
    both = (point.before, point.after)
    levels = " \N{RIGHTWARDS ARROW} ".join(quantity(level, subject.signal.unit, 2) for level in both)
    return (
        subject.reading(row, "change_point_timestamp_seconds", moment),
        subject.reading(row, "change_point_before", point.before),
        subject.reading(row, "change_point_after", point.after),
        subject.reading(row, f"change_point_info:{levels}", 1.0),
    )


def _p_value(values: Floats, point: ChangePoint) -> float:
    # The search chose the interval as well as the position in it.
    return min(1.0, max(point.p_value, block_p_value(values, point.index)) * len(values))


def _matters(subject: Subject, point: ChangePoint) -> bool:
    """Return whether a step is for the worse and large enough."""
    signal = subject.signal
    moved = abs(point.after - point.before)
    matters = moved >= max(signal.min_deviation, LEAST_CHANGE * abs(point.before))
    return matters and signal.is_worse(point.after, point.before)


def _finding(subject: Subject, row: int, point: ChangePoint, p_value: float) -> Finding:
    return subject.finding(
        row,
        "change_point",
        Severity.INFO,
        onset=point.index,
        value=point.after,
        expected=point.before,
        p_value=p_value,
    )
