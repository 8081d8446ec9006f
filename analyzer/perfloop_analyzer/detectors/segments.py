"""The segments between steps: their levels, and the p-value of each step.

A step's p-value is that of a t test with the variance pooled over both sides, inflated by the residuals'
autocorrelation, times the number of positions where the step could have been (Bonferroni).

Once a search has fitted segments to autocorrelated noise, the residuals look independent and that p-value is too small.
`block_p_value` is the second test: means of BLOCK consecutive points, longer than most metrics are correlated, are
nearly independent, and their spread within both sides estimates the variance of a level (the method of batch means;
Schmeiser, Operations Research 30, 1982).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

MOST_LAGS = 12  # of the autocorrelation
BLOCK = 12  # points
LEAST_BLOCKS = 5


def cumulated(values: Floats) -> Floats:
    """Return cumulative sums with a leading zero, shape (series, points + 1): a range is one subtraction."""
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def spans(steps: Bools) -> tuple[Ints, Ints, Ints, Ints]:
    """Return row, previous step (or 0), index and next step (or the width) of every step in `steps`."""
    rows, at = np.nonzero(steps)
    first = np.concatenate([[True], rows[1:] != rows[:-1]]) if len(rows) else np.zeros(0, dtype=np.bool_)
    last = np.concatenate([first[1:], [True]]) if len(rows) else first
    low = np.where(first, 0, np.concatenate([[0], at[:-1]])) if len(rows) else at
    high = np.where(last, steps.shape[1], np.concatenate([at[1:], [0]])) if len(rows) else at
    return rows, low, at, high


@dataclass(frozen=True, slots=True)
class Sums:
    """Rows with the cumulative sums of their values and squares."""

    values: Floats
    total: Floats
    squares: Floats

    def take(self, rows: Ints) -> Sums:
        """Return some rows; all of them are not copied."""
        if len(rows) == len(self.values):
            return self
        return Sums(self.values[rows], self.total[rows], self.squares[rows])


def p_values_of(sums_of: Sums, steps: Bools) -> tuple[Floats, Ints, Ints]:
    """Return p-value, row and index of every step; three arrays of the shape (steps,)."""
    rows, low, at, high = spans(steps)
    total, squares = sums_of.total, sums_of.squares
    left, right = (at - low).astype(np.float64), (high - at).astype(np.float64)
    sums = total[rows, at] - total[rows, low], total[rows, high] - total[rows, at]
    parts = squares[rows, high] - squares[rows, low]
    spread = np.maximum(parts - sums[0] ** 2 / left - sums[1] ** 2 / right, 0.0)
    freedom = np.maximum(left + right - 2.0, 1.0)
    wide = inflation(sums_of.values, steps)[rows]
    shift = np.abs(sums[0] / left - sums[1] / right)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = shift / np.sqrt(spread / freedom * (1.0 / left + 1.0 / right) * wide)
    size = np.where(np.isfinite(size), size, np.where(shift > 0, np.inf, 0.0))
    freedom = np.maximum(freedom / wide, 2.0)
    return np.minimum(1.0, 2.0 * stdtr(freedom, -size) * steps.shape[1]), rows, at


def inflation(values: Floats, steps: Bools) -> Floats:
    """Return the variance inflation of each row: 1 + 2 x the sum of its residuals' first positive autocorrelations."""
    rest = values - levels(values, steps)
    power = np.maximum((rest**2).mean(axis=1), 1e-300)
    width = values.shape[1]
    factor, going = np.ones(len(values)), np.ones(len(values), dtype=np.bool_)
    for lag in range(1, min(MOST_LAGS, width // 4) + 1):
        r = (rest[:, lag:] * rest[:, :-lag]).mean(axis=1) / power
        going &= r > 2.0 / np.sqrt(width)
        if not going.any():
            break
        factor += np.where(going, 2.0 * r, 0.0)
    return factor


def levels(values: Floats, steps: Bools) -> Floats:
    """Return the mean of each point's segment, in the shape of `values`."""
    marks = steps.copy()
    marks[:, 0] = True
    begins = np.flatnonzero(marks.ravel())
    sizes = np.diff(np.append(begins, values.size))
    means = np.add.reduceat(values.ravel(), begins) / sizes
    return np.repeat(means, sizes).reshape(values.shape)


def block_p_value(values: Floats, index: int) -> float:
    """Return the p-value of a step by a t test on the means of blocks.

    Args:
        values: One series, shape (points,); NaN is skipped.
        index: The first point after the step.

    Returns:
        The two-sided p-value; 1 with fewer than LEAST_BLOCKS blocks before the step or none after it.
    """
    # Blocks are counted away from the step on both sides, so that none contains points of both levels.
    before, after = _block_means(values[:index][::-1]), _block_means(values[index:])
    if len(before) < LEAST_BLOCKS or not len(after):
        return 1.0
    freedom = len(before) + len(after) - 2
    spread = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    error = np.sqrt(spread / freedom * (1.0 / len(before) + 1.0 / len(after)))
    shift = abs(float(before.mean() - after.mean()))
    if error == 0:
        return 0.0 if shift else 1.0
    return float(2.0 * stdtr(freedom, -shift / error))


def _block_means(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    return np.asarray(known[: len(known) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1), dtype=np.float64)
