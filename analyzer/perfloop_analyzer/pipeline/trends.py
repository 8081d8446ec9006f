"""Trends and forecasts as findings: signals that drift, and when they reach their limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.aliases import OWN
from perfloop_analyzer.detectors.drift import OVERLAP_DAYS, Drifts, find_drifts, growth_of
from perfloop_analyzer.detectors.forecast import BY_CHANCE, Forecasts, forecast_limit, may_reach
from perfloop_analyzer.detectors.multiple import reject
from perfloop_analyzer.detectors.trend import DAY_SECONDS, find_trends, without_day
from perfloop_analyzer.findings import Finding, Reading, Severity, series_of
from perfloop_analyzer.pipeline.latency_limits import find_latency_limits
from perfloop_analyzer.pipeline.lives import MILDER, Lives
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.pipeline.subject import Row, Subject
    from perfloop_analyzer.series import Floats

SIGNIFICANT = 1e-3
DRIFT = 0.2  # of the level over the window; a smaller trend is not reported
LONG_DAYS = 5.25  # from which on DRIFT is enough: three quarters of the history's week
SHORT_DRIFT = 0.5  # of the level, where the day's rhythm is taken out, or where there was no time for one
HASTE_SECONDS = 3600.0  # in which no day's rhythm moves a level by half
# Of the level, within a day: under a load that is known not to explain it, and where the load is not known. A day's
# rhythm moves latencies two or three times between night and noon.
DAY_DRIFT, BLIND_DRIFT = 1.0, 2.5
TOGETHER = 6  # points
LEAST_POINTS = 8  # of a series that may have a trend
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


@dataclass(frozen=True, slots=True)
class Outlook:
    """What trends are judged by besides their own series.

    Attributes:
        level: The false discovery rate of one reading.
        lives: Which trends go on, see `Lives`.
        loads: Each service's requests per second over the same time, shape (points,).
    """

    level: float
    lives: Lives = field(default_factory=Lives)
    loads: Mapping[str, Floats] = field(default_factory=dict)


def find_long_trends(subject: Subject, outlook: Outlook, findings: list[Finding], readings: list[Reading]) -> None:
    """Add the trends towards the limit over the whole history, and the forecasts from it."""
    batch, signal, lives = subject.batch, subject.signal, outlook.lives
    if "trend" in signal.detect:
        find_worsening(subject, outlook, findings, readings)
    capacity = signal.limit.capacity
    if "forecast" not in signal.detect:
        return
    if capacity is None:
        for place, until in find_latency_limits(subject):
            readings += (subject.reading(place, f"{UNTIL}:{bound}", value) for bound, value in until.items())
        return
    keys = subject.hashes()
    by_chance = np.array([BY_CHANCE * (MILDER if lives.stood(key, "limit") else 1.0) for key in keys])
    ahead = forecast_limit(batch.values, batch.grid.step, capacity, by_chance)
    for row in np.flatnonzero(np.isfinite(ahead.seconds)):
        lives.goes_on(keys[row], "limit", seen=True)
        _report(subject, row, ahead.only(int(row)), findings, readings)


def find_worsening(subject: Subject, outlook: Outlook, findings: list[Finding], readings: list[Reading]) -> None:
    """Add a finding for every series whose level gets worse over all the data it has."""
    grid, keys = subject.batch.grid, subject.hashes()
    trends = find_trends(without_day(subject.batch.values, grid.step), grid.step)
    is_long = np.isfinite(trends.slope) & (grid.points * grid.step >= LONG_DAYS * DAY_SECONDS)
    real = reject(np.where(is_long, trends.p_value, np.nan), min(SIGNIFICANT, outlook.level))
    rise = trends.slope * grid.step * grid.points
    readings += (subject.reading(row, "trend_slope", trends.slope[row]) for row in np.flatnonzero(real))
    whole = Drifts(trends.fit - rise, trends.fit, trends.p_value, np.ones(len(keys), dtype=np.bool_))
    for at in np.flatnonzero(is_long):
        _go_on(subject, at, _Judged(whole, at, 0, DRIFT, bool(real[at])), (outlook.lives, keys[at]), findings)
    for judged, row in _young(subject, ~is_long, outlook):
        if judged.is_real:
            slope = (judged.after - judged.before) / ((grid.points - judged.onset) * grid.step)
            readings.append(subject.reading(row, "trend_slope", slope))
        _go_on(subject, row, judged, (outlook.lives, keys[row]), findings)


class _Judged:
    """One series' drift: its levels, since which point, how far it must go, and whether it is real and not chance."""

    def __init__(self, drifts: Drifts, row: Row, onset: int, needed: float, is_real: bool) -> None:  # noqa: FBT001
        self.before, self.after = float(drifts.before[row]), float(drifts.after[row])
        self.p_value, self.onset, self.needed, self.is_real = float(drifts.p_value[row]), onset, needed, is_real

    def share(self, signal: Signal) -> float:
        """Return how far it has gone for the worse, as a share of how far it must go."""
        rise = self.after - self.before
        worse = rise if signal.direction == "above" else -rise
        # What is bad about a hit ratio of 0.95 are the 0.05 that are missing.
        is_gap = signal.direction == "below" and signal.unit == "ratio"
        level = abs(1.0 - self.before if is_gap else self.before)
        return worse / max(signal.min_deviation, self.needed * level, float(np.finfo(float).tiny))


def _young(subject: Subject, rows: NDArray[np.bool_], outlook: Outlook) -> Iterable[tuple[_Judged, int]]:
    """Yield the drift of each series that is shorter than LONG_DAYS, over all of its own time."""
    batch = subject.batch
    there = np.isfinite(batch.values)
    # Series that begin within an hour of each other are judged together.
    begin = np.minimum(-(-np.argmax(there, axis=1) // TOGETHER) * TOGETHER, batch.grid.points - 1)
    first = np.where(rows & there.any(axis=1), begin, -1)
    found: list[tuple[Drifts, int, int, int]] = []
    for onset in np.unique(first[(first >= 0) & (first <= batch.grid.points - LEAST_POINTS)]):
        own = np.flatnonzero(first == onset)
        drifts = find_drifts(batch.values[own, onset:], batch.grid.step)
        found += [(drifts, place, int(onset), int(row)) for place, row in enumerate(own)]
    p_values = np.array([drifts.p_value[place] for drifts, place, _, _ in found])
    real = reject(p_values, min(SIGNIFICANT, outlook.level))
    for (drifts, place, onset, row), is_real in zip(found, real, strict=True):
        needed = _needed(subject, row, onset, outlook.loads)
        if needed is not None and np.isfinite(drifts.before[place]):
            is_sure = bool(is_real and drifts.is_steady[place])
            yield _Judged(drifts, place, onset, needed, is_sure), row


def _needed(subject: Subject, row: int, onset: int, loads: Mapping[str, Floats]) -> float | None:
    """Return which share of its level a young series has to drift; None where nothing can be said yet."""
    grid, signal = subject.batch.grid, subject.signal
    seconds = (grid.points - onset) * grid.step
    if seconds <= HASTE_SECONDS or seconds >= OVERLAP_DAYS * DAY_SECONDS:
        return SHORT_DRIFT
    load = loads.get(service_of(subject.batch.labels[row], signal.service))
    growth = growth_of(load[onset:]) if load is not None and len(load) == grid.points else float("nan")
    if np.isfinite(growth):
        return (1.0 + DAY_DRIFT) * growth - 1.0
    # How much of a resource is used follows the load of the day, which may be any.
    return BLIND_DRIFT if signal.kind == "red" or signal.component == OWN else None


def _go_on(subject: Subject, row: Row, judged: _Judged, life: tuple[Lives, str], findings: list[Finding]) -> None:
    lives, key = life
    share = judged.share(subject.signal)
    begins = judged.is_real and share >= 1.0
    remains = judged.p_value <= MILDER * SIGNIFICANT and share >= REMAINS
    if lives.goes_on(key, "unusual", seen=bool(begins or (remains and lives.stood(key, "unusual")))):
        numbers = {"value": judged.after, "expected": judged.before, "p_value": judged.p_value}
        findings.append(subject.finding(row, "trend", Severity.INFO, onset=judged.onset, **numbers))


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
