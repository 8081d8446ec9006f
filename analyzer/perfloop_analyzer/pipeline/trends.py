"""Trends and forecasts as findings: signals that drift, and when they reach their limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.forecast import BY_CHANCE, Forecasts, forecast_limit, may_reach
from perfloop_analyzer.detectors.multiple import reject
from perfloop_analyzer.detectors.trend import find_trends, without_day
from perfloop_analyzer.findings import Finding, Reading, Severity, series_of
from perfloop_analyzer.incidents import series_hash
from perfloop_analyzer.pipeline.lives import MILDER
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_analyzer.pipeline.lives import Lives
    from perfloop_analyzer.pipeline.subject import Row, Subject
    from perfloop_analyzer.series import Floats

SIGNIFICANT = 1e-3
DRIFT = 0.2  # of the level over the window; a smaller trend is not reported
REMAINS = 0.5  # of the drift at which a trend begins; with less it is missed
BOUNDS = ("expected", "lower", "upper")
UNTIL = "seconds_until_limit"
RISE_SECONDS = 1200.0  # about a window
RECENT_SECONDS = 3600.0
MOST_LOOKS = 32  # of a signal in a cycle, those that a line sees at their limit first: a look costs about 15 ms
UNPRECEDENTED = 1.5  # times the steepest rise of the history


def find_window_forecasts(subject: Subject, steepest: Floats, findings: list[Finding], readings: list[Reading]) -> None:
    """Add the forecasts of the cycle's own window, for signals with a capacity.

    Args:
        subject: The window.
        steepest: How fast each series has risen before, as `steepest_rises` returns it; NaN where it is not known.
        findings: What was found, to add to.
        readings: What is published, to add to.
    """
    capacity, batch = subject.signal.limit.capacity, subject.batch
    if capacity is None:
        return
    rows = np.flatnonzero(may_reach(batch.values, capacity))
    trends = find_trends(batch.values[rows], batch.grid.step)
    # What rises like this every morning, and comes back, is no growth.
    new = ~(trends.slope < UNPRECEDENTED * steepest[rows])
    until = (capacity - trends.fit) / np.where(trends.slope > 0, trends.slope, np.nan)
    rises = (trends.p_value <= MILDER * BY_CHANCE) & (trends.slope > 0) & new
    nearest = np.argsort(np.where(rises, until, np.inf), kind="stable")
    rows = rows[nearest[: min(MOST_LOOKS, int(rises.sum()))]]
    ahead = forecast_limit(batch.values[rows], batch.grid.step, capacity)
    for place in np.flatnonzero(np.isfinite(ahead.seconds)):
        _report(subject, rows[place], ahead.only(int(place)), findings, readings)


def steepest_rises(values: Floats, step: float) -> Floats:
    """Return the steepest rise of each series' history over RISE_SECONDS, per second, without its newest hour."""
    lag = max(1, round(RISE_SECONDS / step))
    earlier = values[:, : max(0, values.shape[1] - round(RECENT_SECONDS / step))]
    rises = earlier[:, lag:] - earlier[:, :-lag]
    highest = np.max(np.where(np.isfinite(rises), rises, -np.inf), axis=1, initial=-np.inf)
    return np.where(np.isfinite(highest), highest / (lag * step), np.nan)


def find_long_trends(
    subject: Subject, level: float, lives: Lives, findings: list[Finding], readings: list[Reading]
) -> None:
    """Add the trends towards the limit over the whole history, and the forecasts from it."""
    batch, signal = subject.batch, subject.signal
    keys = [series_hash(service_of(one, signal.service), signal.name, series_of(one)) for one in batch.labels]
    if "trend" in signal.detect:
        _find_trends(subject, level, (lives, keys), findings, readings)
    capacity = signal.limit.capacity
    if capacity is None or "forecast" not in signal.detect:
        return
    by_chance = np.array([BY_CHANCE * (MILDER if lives.stood(key, "limit") else 1.0) for key in keys])
    ahead = forecast_limit(batch.values, batch.grid.step, capacity, by_chance)
    for row in np.flatnonzero(np.isfinite(ahead.seconds)):
        lives.goes_on(keys[row], "limit", seen=True)
        _report(subject, row, ahead.only(int(row)), findings, readings)


def _find_trends(
    subject: Subject, level: float, known: tuple[Lives, list[str]], findings: list[Finding], readings: list[Reading]
) -> None:
    lives, keys = known
    grid, signal = subject.batch.grid, subject.signal
    trends = find_trends(without_day(subject.batch.values, grid.step), grid.step)
    real = reject(trends.p_value, min(SIGNIFICANT, level))
    readings += (subject.reading(row, "trend_slope", trends.slope[row]) for row in np.flatnonzero(real))
    rise = trends.slope * grid.step * grid.points
    start = trends.fit - rise
    worse = rise > 0 if signal.direction == "above" else rise < 0
    share = np.abs(rise) / np.fmax(signal.min_deviation, np.fmax(DRIFT * np.abs(start), np.finfo(float).tiny))
    begins = real & worse & (share >= 1.0)
    remains = (trends.p_value <= MILDER * SIGNIFICANT) & worse & (share >= REMAINS)
    for row in np.flatnonzero(np.isfinite(trends.slope)):
        seen = bool(begins[row] or (remains[row] and lives.stood(keys[row], "unusual")))
        if lives.goes_on(keys[row], "unusual", seen=seen):
            numbers = {"value": trends.fit[row], "expected": start[row], "p_value": trends.p_value[row]}
            findings.append(subject.finding(row, "trend", Severity.INFO, onset=0, **numbers))


def _report(subject: Subject, row: Row, ahead: Forecasts, findings: list[Finding], readings: list[Reading]) -> None:
    """Add a row's forecast, which is the only one of `ahead`."""
    for bound, value in zip(BOUNDS, (ahead.seconds, ahead.soonest, ahead.latest), strict=True):
        if np.isfinite(value[0]):
            readings.append(subject.reading(row, f"{UNTIL}:{bound}", value[0]))
    numbers = {"value": ahead.level[0], "expected": ahead.before[0], "p_value": ahead.p_value[0]}
    findings.append(subject.finding(row, "forecast", Severity.WARNING, onset=0, score=0.0, **numbers))


def soonest_limits(readings: Iterable[Reading]) -> list[Reading]:
    """Return the readings with one forecast of each series: of the window's and the history's the sooner one."""
    kept: list[Reading] = []
    forecasts: dict[tuple[str, str, str], list[list[Reading]]] = {}
    for reading in readings:
        if not reading.name.startswith(f"{UNTIL}:"):
            kept.append(reading)
            continue
        found = forecasts.setdefault((reading.signal, reading.service, series_of(reading.labels)), [])
        if reading.name.endswith(f":{BOUNDS[0]}"):
            found.append([])
        found[-1].append(reading)
    for several in forecasts.values():
        soonest = min(several, key=lambda one: one[0].value)
        kept += soonest
    return kept
