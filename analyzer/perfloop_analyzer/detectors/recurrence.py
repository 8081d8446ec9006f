"""Recurrence: what comes back every period, such as a day or a log's rotation, beside growth.

What is slower than the period is taken out by a moving average over exactly one period; what is left is folded. A
pattern counts only when it predicts: each cycle is compared with the mean of the others, and the squared error must be
below UNEARNED of that of no pattern. Noise that wanders resembles itself at some lag too, but one cycle of it says
nothing about the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.robust import quiet_nanmedian
from perfloop_analyzer.detectors.season import SHORTEST, find_periods, moving_average

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

DAY_SECONDS = 86_400.0
LEAST_CYCLES = 3
UNEARNED = 0.7
FINEST = 40  # periods tried around an integer one
BESIDE = 0.02  # of the lag: so close to a day it is the day
SMOOTHINGS = (1, 3, 9)  # phases that are averaged; the one that predicts best is taken


@dataclass(frozen=True, slots=True)
class Recurrence:
    """One period of what recurs, shape (phases,), from the series' first point on; `period` is in points, 0: none."""

    pattern: Floats
    period: float

    def over(self, first: int, count: int) -> Floats:
        """Return the pattern at `count` points from `first` on, counted from the series' start."""
        if not self.period:
            return np.zeros(count)
        places = np.arange(first, first + count, dtype=np.float64)
        return np.asarray(self.pattern[_phases(places, self.period, len(self.pattern))], dtype=np.float64)

    def again(self, values: Floats) -> Recurrence:
        """Return what recurs with the same period in a series that its growth was taken out of."""
        return Recurrence(_fold(values, self.period)[0], self.period)


def find_recurrence(values: Floats, step: float) -> Recurrence:
    """Return what recurs in one series without gaps, shape (points,).

    A day is tried, and fractions of a point around the lag at which the series resembles itself most.
    """
    day, width = DAY_SECONDS / step, len(values)
    lag = int(find_periods(values[None, :])[0])
    tried = [day]
    if lag:
        around = lag + np.linspace(-0.5, 0.5, min(FINEST, 2 * width // lag) | 1)
        tried += [float(one) for one in around if abs(one - day) > BESIDE * lag]
    best, earned = Recurrence(np.zeros(0), 0.0), UNEARNED
    for period in tried:
        if not SHORTEST <= period <= width / LEAST_CYCLES:
            continue
        pattern, left = _fold(values, period)
        if left < earned:
            best, earned = Recurrence(pattern, period), left
    return best


def _phases(places: Floats, period: float, count: int) -> NDArray[np.int64]:
    return np.minimum((np.mod(places, period) / period * count).astype(np.int64), count - 1)


def _fold(values: Floats, period: float) -> tuple[Floats, float]:
    """Return the pattern of a period, and the share of the squares that it leaves unexplained in a cycle unseen."""
    rest = values - _slow_part(values, round(period))
    count = int(period)
    phases = _phases(np.arange(len(values), dtype=np.float64), period, count)
    numbers = np.bincount(phases, minlength=count)
    if (numbers <= 1).any():
        return np.zeros(count), 1.0
    others = (np.bincount(phases, weights=rest, minlength=count)[phases] - rest) / (numbers[phases] - 1)
    power = max(float((rest**2).sum()), 1e-300)
    left = {width: float(((rest - _smooth(others, width)) ** 2).sum()) / power for width in SMOOTHINGS}
    width = min(left, key=lambda one: left[one])
    table = np.full((count, int(numbers.max())), np.nan)
    order = np.argsort(phases, kind="stable")
    cycle = np.arange(len(values)) - np.concatenate([[0], np.cumsum(numbers)])[phases[order]]
    table[phases[order], cycle] = rest[order]
    pattern = _smooth(np.tile(quiet_nanmedian(table), 3), width)[count : 2 * count]
    return pattern - pattern.mean(), left[width]


def _smooth(values: Floats, width: int) -> Floats:
    return values if width == 1 else moving_average(values[None, :], width)[0]


def _slow_part(values: Floats, period: int) -> Floats:
    """Return the moving average over one period, continued at both ends along its own slope."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    whole = (sums[period:] - sums[:-period]) / period
    at = np.arange(len(values)) - (period - 1) / 2.0
    inner = np.interp(at, np.arange(len(whole)), whole)
    reach = min(period, len(whole) - 1)
    first, last = (whole[reach] - whole[0]) / reach, (whole[-1] - whole[-1 - reach]) / reach
    inner += np.minimum(at, 0.0) * first + np.maximum(at - (len(whole) - 1), 0.0) * last
    return np.asarray(inner, dtype=np.float64)
