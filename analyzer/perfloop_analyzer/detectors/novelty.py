"""Novelty: a streaming detector of values that are unlike everything before, without look-ahead.

Three views of a series are scored: its value, and the minimum and maximum of the last hour, so that a spike, a new
level and an oscillation that stops each show in one of them. Each view's newest value is compared with the view's whole
past: beyond the outer 1.5% on either side the tail is a generalized Pareto distribution (Pickands, 1975; on streams
Siffer et al., "SPOT", KDD 2017), fitted by its first two moments. The score is -log10 of the probability of a value as
far out, summed over the views. A value like an earlier one is not new, so a nightly spike scores once. Habituation
reports one event once: within a day of a score only a higher one is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.robust import quiet_nanmedian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

TAIL = 0.015  # share of the points in each tail
LEAST_TAIL = 10  # points
REFIT = 6  # points between two fits
MOST_SHAPE = 0.49  # below 0.5 the variance of the generalized Pareto distribution is finite
SPREAD_FLOOR = 0.05  # of the interquartile range
LEVEL_FLOOR = 0.01  # of the median
MOST_DIGITS = 12.0
STILL_GOING = 0.7  # of the reported score: the event has not ended
MEMORY = 8064  # points: 28 days of five minutes


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
    share: float

    def digits(self, excess: Floats) -> Floats:
        """Return -log10 of the probability of an excess (signal's unit, per series) beyond the edge; 0 inside."""
        scale = self.mean * (1.0 - self.shape)
        heavy = self.shape > 1e-6  # noqa: PLR2004 - below that the tail is exponential to the last digit
        with np.errstate(divide="ignore", invalid="ignore"):
            curved = np.log1p(self.shape * excess / scale) / np.where(heavy, self.shape, 1.0)
        fall = np.where(heavy, curved, excess / self.mean) / np.log(10.0)
        return np.where(excess > 0, np.minimum(MOST_DIGITS, fall - np.log10(self.share)), 0.0)


class NoveltyDetector:
    """Scores `count` series; every update takes one value of each."""

    def __init__(self, count: int, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._past: Floats = np.empty((3, count, 1024))
        self._length = 0
        self._fed = 0
        self._recent: Floats = np.full((count, self._clock.hour), np.nan)
        self._sides: list[tuple[_Side, _Side]] = []
        self._level: Floats = np.zeros(count)
        self._since: NDArray[np.int64] = np.full(count, -(10**9))

    def update(self, values: Floats) -> Floats:
        """Take each series' next value, NaN where it is missing, and return the scores to report, 0 for none."""
        self._recent = np.concatenate([self._recent[:, 1:], values[:, None]], axis=1)
        least, most = np.fmin.reduce(self._recent, axis=1), np.fmax.reduce(self._recent, axis=1)
        views = np.stack([values, least, most])
        raw: Floats = np.zeros(len(values))
        if self._fed >= self._clock.probation and self._length > 2 * LEAST_TAIL:
            if not self._sides or (self._fed - self._clock.probation) % REFIT == 0:
                self._sides = [_fit(self._past[view, :, : self._length]) for view in range(3)]
            for view, (high, low) in zip(views, self._sides, strict=True):
                raw = raw + high.digits(view - high.edge) + low.digits(low.edge - view)
        self._remember(views)
        return self._habituate(np.nan_to_num(raw))

    def _remember(self, views: Floats) -> None:
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
        is_new = (raw > self._level) & (raw > 0)
        going = (raw >= STILL_GOING * self._level) & (raw > 0)
        self._level = np.where(is_new, raw, self._level)
        self._since = np.where(is_new | going, self._fed, self._since)
        return np.where(is_new, raw, 0.0)


def novelty_scores(values: Floats, clock: Clock) -> Floats:
    """Return the scores of whole series, shape (series, points), point by point."""
    detector = NoveltyDetector(len(values), clock)
    return np.stack([detector.update(column) for column in values.T], axis=1)


def _fit(past: Floats) -> tuple[_Side, _Side]:
    """Return the fitted high and low tail of every row."""
    if np.isnan(past).any():
        past = _filled(past)  # NaN would be sorted behind the largest values
    ordered = np.sort(past, axis=1)
    width = ordered.shape[1]
    tail = max(LEAST_TAIL, int(width * TAIL))
    spread = ordered[:, int(0.75 * width)] - ordered[:, int(0.25 * width)]
    floor = np.maximum(SPREAD_FLOOR * spread, np.maximum(LEVEL_FLOOR * np.abs(ordered[:, width // 2]), 1e-9))
    high = ordered[:, -tail - 1]
    low = ordered[:, tail]
    return (
        _side(high, ordered[:, -tail:] - high[:, None], floor, tail / width),
        _side(low, low[:, None] - ordered[:, :tail], floor, tail / width),
    )


def _side(edge: Floats, excess: Floats, floor: Floats, share: float) -> _Side:
    mean = np.maximum(excess.mean(axis=1), floor)
    variance = excess.var(axis=1)
    shape = np.clip(0.5 * (1.0 - mean**2 / np.where(variance > 0, variance, np.inf)), 0.0, MOST_SHAPE)
    return _Side(edge, mean, np.where(variance > 0, shape, 0.0), share)


def _filled(past: Floats) -> Floats:
    middle = np.nan_to_num(quiet_nanmedian(past))
    return np.where(np.isnan(past), middle[:, None], past)
