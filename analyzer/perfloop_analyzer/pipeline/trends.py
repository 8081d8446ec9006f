"""Trends and forecasts as findings: signals that drift, and when they reach their limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.forecast import forecast_limit
from perfloop_analyzer.detectors.multiple import reject
from perfloop_analyzer.detectors.trend import Trends, find_trends
from perfloop_analyzer.findings import Finding, Reading, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.pipeline.subject import Subject
    from perfloop_analyzer.series import Floats

SIGNIFICANT = 1e-3
DRIFT = 0.2  # of the level over the window; a smaller trend is not reported
BOUNDS = ("expected", "lower", "upper")


def find_window_forecasts(subject: Subject, findings: list[Finding], readings: list[Reading]) -> None:
    """Add the forecasts of the cycle's own window, for signals with a capacity."""
    values = subject.batch.values
    trends = find_trends(values, subject.batch.grid.step)
    _forecast(subject, trends, findings, readings)


def find_long_trends(subject: Subject, level: float, findings: list[Finding], readings: list[Reading]) -> None:
    """Add the trends towards the limit over the whole history, and the forecasts from them."""
    values, signal = subject.batch.values, subject.signal
    trends = find_trends(values, subject.batch.grid.step)
    real = reject(trends.p_value, min(SIGNIFICANT, level))
    readings += (subject.reading(row, "trend_slope", trends.slope[row]) for row in np.flatnonzero(real))
    span = subject.batch.grid.step * subject.batch.grid.points
    rise = trends.slope * span
    start = trends.fit - rise
    worse = rise > 0 if signal.direction == "above" else rise < 0
    large = np.abs(rise) >= np.fmax(signal.min_deviation, DRIFT * np.abs(start))
    for row in np.flatnonzero(real & worse & large):
        numbers = {"value": trends.fit[row], "expected": start[row], "p_value": trends.p_value[row]}
        findings.append(subject.finding(row, "trend", Severity.INFO, onset=0, **numbers))
    _forecast(subject, trends, findings, readings)


def _forecast(subject: Subject, trends: Trends, findings: list[Finding], readings: list[Reading]) -> None:
    capacity, grid = subject.signal.limit.capacity, subject.batch.grid
    if capacity is None or "forecast" not in subject.signal.detect:
        return
    ahead = forecast_limit(trends, capacity, grid.step * known_points(subject.batch.values))
    for row in np.flatnonzero(np.isfinite(ahead.seconds)):
        for bound, value in zip(BOUNDS, (ahead.seconds, ahead.soonest, ahead.latest), strict=True):
            if np.isfinite(value[row]):
                readings.append(subject.reading(row, f"seconds_until_limit:{bound}", value[row]))
        numbers = {"value": trends.fit[row], "p_value": trends.p_value[row], "score": 0.0}
        expected = trends.fit[row] - trends.slope[row] * grid.step * grid.points
        findings.append(subject.finding(row, "forecast", Severity.WARNING, onset=0, expected=expected, **numbers))


def known_points(values: Floats) -> NDArray[np.float64]:
    """Return the number of points from each row's first value to its end."""
    there = np.isfinite(values)
    width = values.shape[1]
    return np.where(there.any(axis=1), width - np.argmax(there, axis=1), 0).astype(np.float64)
