"""Costs of segments when noise remembers: least squares on whitened points, for all pairs of places together.

Noise is first-order autoregressive, e(t) = rho e(t-1) + u(t), as Prometheus's overlapping rate windows, queues and
prices make it. Within a segment, y(t) - rho y(t-1) regressed on the equally filtered line is generalised least squares
(Cochrane & Orcutt, JASA 44, 1949); the segment's first point, which has no neighbour, has the weight sqrt(1 - rho^2)
(Prais & Winsten, 1954). A step therefore costs nothing across the border, and a wandering level is no staircase.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.segments import cumulated

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Ints = NDArray[np.int64]


class Costs:
    """The squared residuals of a level or of a line in any segment of any row, in constant time.

    Args:
        values: Shape (rows, points), about 0 and with a standard deviation of about 1.
        rho: The correlation of neighbouring noise, below 1.
        sloped: Whether a segment is a line instead of a level.
    """

    def __init__(self, values: Floats, rho: float, *, sloped: bool) -> None:
        self.values, self.rho, self.sloped = values, rho, sloped
        width = values.shape[1]
        # Time runs from -1/2 to 1/2, so that the sums below keep their precision in long rows.
        self._clock = np.arange(width) / width - 0.5
        filtered, ticks = np.zeros_like(values), np.zeros((1, width))
        filtered[:, 1:] = values[:, 1:] - rho * values[:, :-1]
        ticks[:, 1:] = self._clock[1:] - rho * self._clock[:-1]
        self._y, self._yy = cumulated(filtered), cumulated(filtered**2)
        if sloped:
            self._ty = cumulated(ticks * filtered)
            self._t, self._tt = cumulated(ticks)[0], cumulated(ticks**2)[0]

    def __call__(self, rows: Ints, begin: Ints, end: Ints) -> Floats:
        """Return the squared residuals of the segments [begin, end); the three arrays broadcast.

        Where a segment is empty or reversed, the answer is of no meaning.
        """
        first = 1.0 - self.rho**2
        after = begin + 1
        start = self.values[rows, begin]
        power = self._yy[rows, end] - self._yy[rows, after] + first * start**2
        total, weight = self._level(rows, begin, end)
        rest = power - total**2 / weight
        if self.sloped:
            rise, spread = self._line(rows, begin, end, total / weight)
            rest -= rise**2 / spread
        return np.maximum(rest, 0.0)

    def ends(self, rows: Ints, begin: Ints, end: Ints) -> tuple[Floats, Floats]:
        """Return the fitted values at the first and at the last point of the segments."""
        total, weight = self._level(rows, begin, end)
        level = total / weight
        if not self.sloped:
            return level, level
        rise, spread = self._line(rows, begin, end, level)
        slope = rise / spread
        level = level - slope * self._ticks(begin, end) / weight
        return level + slope * self._clock[begin], level + slope * self._clock[end - 1]

    def _level(self, rows: Ints, begin: Ints, end: Ints) -> tuple[Floats, Floats]:
        """Return the weighted sum of the points, and the sum of the weights."""
        keep, first = 1.0 - self.rho, 1.0 - self.rho**2
        total = keep * (self._y[rows, end] - self._y[rows, begin + 1]) + first * self.values[rows, begin]
        return total, self._weight(begin, end)

    def _weight(self, begin: Ints, end: Ints) -> Floats:
        first = 1.0 - self.rho**2
        return np.asarray((1.0 - self.rho) ** 2 * np.maximum(end - begin - 1, 0) + first, dtype=np.float64)

    def _ticks(self, begin: Ints, end: Ints) -> Floats:
        keep, first = 1.0 - self.rho, 1.0 - self.rho**2
        return np.asarray(keep * (self._t[end] - self._t[begin + 1]) + first * self._clock[begin], dtype=np.float64)

    def _line(self, rows: Ints, begin: Ints, end: Ints, level: Floats) -> tuple[Floats, Floats]:
        """Return the weighted covariance of points and time, and the spread of time."""
        first, clock = 1.0 - self.rho**2, self._clock[begin]
        ticks = self._ticks(begin, end)
        weight = self._weight(begin, end)
        rise = self._ty[rows, end] - self._ty[rows, begin + 1] + first * clock * self.values[rows, begin]
        spread = self._tt[end] - self._tt[begin + 1] + first * clock**2
        return rise - ticks * level, np.maximum(spread - ticks**2 / weight, 1e-12)
