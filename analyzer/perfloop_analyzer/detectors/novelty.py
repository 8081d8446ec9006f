"""Novelty: a streaming detector of values that are unlike everything before, without look-ahead.

Four views of a series are scored, so that a new level, a change, another spread, and a usual value at an unusual time
of day each show in at least one of them:

- level: the mean of the last six hours;
- step: the value less the value before;
- range: the maximum less the minimum of the last hour;
- season: how far the mean of the last hour is outside the range that it had within an hour of this time of day, on the
  last seven days; 0 inside.

Each view is calibrated within its own series: its newest value is compared with the view's whole past. Beyond the outer
3 % on either side the tail is a generalized Pareto distribution (Pickands, 1975; on streams Siffer et al., "SPOT", KDD
2017), fitted by its first two moments. The score is -log10 of the probability of a value as far out, summed over the
views. A value like an earlier one is not new, so a nightly spike scores once.

Habituation makes one event one report: until a day has passed since the series was last near the reported score, only
a score 1.5 times as high is reported, and after an alarm only one 2.5 times as high.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

    Compact = NDArray[np.float32]  # the pasts hold most of the analyzer's long memory: half the bytes, seven digits

ALARM_FROM = 8.5  # score of an alarm for one series; see benchmarks/analyzer_nab.py for what it costs and finds
ALARM_PER_DECADE = 5.0  # what it rises by with ten times the series: Student's t with 5 degrees of freedom needs that
TAIL = 0.03  # share of the points in each tail
LEAST_TAIL = 10  # points
REFIT = 6  # points between two fits
MOST_SHAPE = 0.49  # below 0.5 the variance of the generalized Pareto distribution is finite
SPREAD_FLOOR = 0.05  # of the view's interquartile range
LEVEL_FLOOR = 0.01  # of the series' median: a smaller excess is not news, however still the series was
LEAST_FLOOR = 1e-9
MOST_DIGITS = 12.0
STILL_GOING = 0.7  # of the reported score: the event has not ended
RISE, RISE_OF_ALARM = 1.5, 2.5  # how much higher a score of the same event must be
LEVEL_HOURS = 6
SEASON_DAYS = 7
MEMORY = 8064  # points: 28 days of five minutes
LEVEL, STEP, RANGE, SEASON = range(4)


@dataclass(frozen=True, slots=True)
class Clock:
    """How many points an hour and a day have, and how many pass before the first score."""

    hour: int = 12
    day: int = 288
    probation: int = 288


@dataclass(frozen=True, slots=True)
class _Side:
    """One tail of one view: where it begins, its mean excess, its shape, and the share of points beyond."""

    edge: Floats
    mean: Floats
    shape: Floats
    share: Floats

    def digits(self, excess: Floats) -> Floats:
        """Return -log10 of the probability of an excess (signal's unit, per series) beyond the edge; 0 inside."""
        scale = self.mean * (1.0 - self.shape)
        heavy = self.shape > 1e-6  # noqa: PLR2004 - below that the tail is exponential to the last digit
        with np.errstate(divide="ignore", invalid="ignore"):
            curved = np.log1p(self.shape * excess / scale) / np.where(heavy, self.shape, 1.0)
        fall = np.where(heavy, curved, excess / self.mean) / np.log(10.0)
        return np.where(excess > 0, np.minimum(MOST_DIGITS, fall - np.log10(self.share)), 0.0)


class _SameTime:
    """The range that the hourly mean had around each time of day, on the last SEASON_DAYS days."""

    def __init__(self, count: int, clock: Clock) -> None:
        self._day = clock.day
        self._around = clock.hour if clock.hour > 2 else 1  # noqa: PLR2004 - at a point an hour, the neighbours
        self._means: Floats = np.full((2 * self._around + 1, count), np.nan)
        self._low: Floats = np.full((SEASON_DAYS * clock.day, count), np.nan)
        self._high: Floats = np.full((SEASON_DAYS * clock.day, count), np.nan)
        self._fed = 0

    def beyond(self, means: Floats) -> Floats:
        """Take the newest means and return how far each is outside its range: 0 inside, NaN without a range."""
        size, width = len(self._low), len(self._means)
        days = (self._fed - self._day * np.arange(1, SEASON_DAYS + 1)) % size
        low, high = np.fmin.reduce(self._low[days], axis=0), np.fmax.reduce(self._high[days], axis=0)
        # The range around a moment is known once the moments after it have been seen.
        self._means[self._fed % width] = means
        known = (self._fed - self._around) % size
        self._low[known] = np.fmin.reduce(self._means, axis=0)
        self._high[known] = np.fmax.reduce(self._means, axis=0)
        self._fed += 1
        return means - np.clip(means, low, high)


class NoveltyDetector:
    """Scores `count` series; every update takes one value of each, at equal steps: NaN keeps the time of day."""

    def __init__(self, count: int, clock: Clock | None = None, alarm_from: float = ALARM_FROM) -> None:
        self.alarm_from = alarm_from
        self._clock = clock or Clock()
        self._past: Compact = np.empty((4, count, 1024), np.float32)
        self._length = 0
        self._fed = 0
        self._seen: NDArray[np.int64] = np.zeros(count, np.int64)
        self._recent: Floats = np.full((count, LEVEL_HOURS * self._clock.hour), np.nan)
        self._last: Floats = np.full(count, np.nan)
        self._same_time = _SameTime(count, self._clock)
        self._sides: list[tuple[_Side, _Side]] = []
        self._level: Floats = np.zeros(count)
        self._since: NDArray[np.int64] = np.full(count, -(10**9))

    def update(self, values: Floats) -> Floats:
        """Take each series' next value, NaN where it is missing, and return the scores to report, 0 for none."""
        views = self._look(values)
        ready = self._seen >= self._clock.probation
        raw: Floats = np.zeros(len(values))
        if ready.any() and self._length > 2 * LEAST_TAIL:
            if not self._sides or self._fed % REFIT == 0:
                self._sides = self._fit()
            for view, (high, low) in zip(views.astype(np.float64), self._sides, strict=True):
                raw = raw + high.digits(view - high.edge) + low.digits(low.edge - view)
        self._remember(views)
        self._seen = self._seen + np.isfinite(values)
        return self._habituate(np.where(ready, np.nan_to_num(raw), 0.0))

    def _look(self, values: Floats) -> Compact:
        """Return the four views of the newest values, shape (4, series); NaN where the value is missing."""
        there = np.isfinite(values)
        self._recent = np.concatenate([self._recent[:, 1:], np.where(there, values, np.nan)[:, None]], axis=1)
        hour = self._recent[:, -self._clock.hour :]
        spread = np.fmax.reduce(hour, axis=1) - np.fmin.reduce(hour, axis=1)
        season = self._same_time.beyond(_mean(hour))
        step = np.where(np.isfinite(self._last), values - self._last, 0.0)
        views = np.stack([_mean(self._recent), step, spread, season])
        self._last = np.where(there, values, self._last)
        return np.where(there, views, np.nan).astype(np.float32)

    def _fit(self) -> list[tuple[_Side, _Side]]:
        """Return the high and the low tail of every view of every series."""
        pasts = [_sort(self._past[view, :, begin : self._length]) for view, begin in enumerate(self._begins())]
        level = pasts[LEVEL].values[:, pasts[LEVEL].values.shape[1] // 2]
        least = np.fmax(LEVEL_FLOOR * np.abs(level), LEAST_FLOOR)
        return [_fit_tails(past, least) for past in pasts]

    def _begins(self) -> tuple[int, int, int, int]:
        """Return where the past of each view begins: the first day has no season, unless it is all there is."""
        first = self._clock.day if self._length > self._clock.day + 2 * LEAST_TAIL else 0
        return 0, 0, 0, first

    def _remember(self, views: Compact) -> None:
        if self._length == MEMORY:
            self._past[:, :, : MEMORY // 2] = self._past[:, :, MEMORY // 2 : MEMORY].copy()
            self._length = MEMORY // 2
        if self._length == self._past.shape[2]:
            self._past = np.concatenate([self._past, np.empty_like(self._past)], axis=2)
        self._past[:, :, self._length] = views
        self._length += 1
        self._fed += 1

    def _habituate(self, raw: Floats) -> Floats:
        rested = self._fed - self._since > self._clock.day
        self._level = np.where(rested, 0.0, self._level)
        is_new = raw > self._level * np.where(self._level >= self.alarm_from, RISE_OF_ALARM, RISE)
        going = (raw >= STILL_GOING * self._level) & (raw > 0)
        self._level = np.where(is_new, raw, self._level)
        self._since = np.where(is_new | going, self._fed, self._since)
        return np.where(is_new, raw, 0.0)


def alarm_threshold(count: int) -> float:
    """Return the score of an alarm where `count` series are watched, so that all together give few false ones."""
    return ALARM_FROM + ALARM_PER_DECADE * float(np.log10(max(count, 1)))


def novelty_scores(values: Floats, clock: Clock) -> Floats:
    """Return the scores of whole series, shape (series, points), point by point."""
    detector = NoveltyDetector(len(values), clock)
    return np.stack([detector.update(column) for column in values.T], axis=1)


def _mean(values: Floats) -> Floats:
    """Return the mean of what is there in each row; NaN for a row without a value."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A view's past: every row in order, shape (series, points), and how many of its points are real."""

    values: Compact
    real: NDArray[np.int64]


def _sort(past: Compact) -> _Ordered:
    """Return every row in order; what is missing takes the row's median, which is in no tail."""
    # A whole sort of 32-bit floats takes a tenth of the time of np.partition at five places.
    ordered = np.sort(past, axis=1)
    real = np.full(len(past), past.shape[1])
    rows = np.flatnonzero(np.isnan(ordered[:, -1]))  # NaN is sorted behind the largest values
    if rows.size:
        gappy = ordered[rows]
        gaps = np.isnan(gappy)
        real[rows] = (~gaps).sum(axis=1)
        middle = gappy[np.arange(len(rows)), real[rows] // 2]
        ordered[rows] = np.sort(np.where(gaps, np.nan_to_num(middle)[:, None], gappy), axis=1)
    return _Ordered(ordered, real)


def _fit_tails(past: _Ordered, least: Floats) -> tuple[_Side, _Side]:
    """Return the high and low tail of every row; `least`, per row, is the smallest mean excess."""
    ordered, width = past.values, past.values.shape[1]
    tail = max(LEAST_TAIL, int(width * TAIL))
    floor = np.fmax(SPREAD_FLOOR * (ordered[:, int(0.75 * width)] - ordered[:, int(0.25 * width)]), least)
    high, low = ordered[:, width - tail - 1, None], ordered[:, tail, None]
    share = np.minimum(0.5, tail / np.maximum(past.real, 1))
    return _side(high, ordered[:, -tail:] - high, floor, share), _side(low, low - ordered[:, :tail], floor, share)


def _side(edge: Compact, excess: Compact, floor: Floats, share: Floats) -> _Side:
    """Return a tail from its edge, shape (series, 1), and the excesses beyond it, shape (series, points)."""
    beyond = excess.astype(np.float64)
    mean = np.maximum(beyond.mean(axis=1), floor)
    variance = beyond.var(axis=1)
    shape = np.clip(0.5 * (1.0 - mean**2 / np.where(variance > 0, variance, np.inf)), 0.0, MOST_SHAPE)
    return _Side(edge[:, 0].astype(np.float64), mean, np.where(variance > 0, shape, 0.0), share)
