"""Former levels: is the level after a step one that stretches of the same length had before?

Queues fill, jobs run and load comes in phases: the level of such a series steps again and again, and each step is
significant by itself. So a new level is compared with the means of the blocks of the same length before. Above the
median block their heights are taken to fall off exponentially (peaks over a threshold; S. Coles, "An Introduction to
Statistical Modeling of Extreme Values", 2001, section 4.2): a block is higher than the median by h with a probability
of exp(-h / e) / 2, with e the mean excess of the blocks above it. Where rare blocks are farther away than that says,
a level that one block in a hundred, and six at least, have reached counts as reached. A step that is itself among the
last blocks changes little in either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.robust import quiet_nanmedian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

LEAST_BLOCKS = 4  # with fewer nothing is known
LEAST_OF_BLOCK = 0.5  # of a block's points must be there
RARE, REACHED = 0.01, 6  # share and number of the blocks that reached a level that counts as reached
MOST_LENGTHS = 7  # 1 to 64 points: at steps of ten minutes half a day


@dataclass(frozen=True, slots=True)
class Tails:
    """How high the blocks of each series were, shape (series,), in the signal's unit on its bad side.

    `middle` is the median block, NaN where there are fewer than LEAST_BLOCKS, and `excess` the mean excess of those
    above it. A share of `rate` is at least as high as `reach`.
    """

    middle: Floats
    excess: Floats
    reach: Floats
    rate: float

    def chance(self, row: int, height: float) -> float:
        """Return the probability that a block of a row is as high; NaN where too little is known."""
        above = height - self.middle[row]
        if not above > 0:
            return 1.0 if above <= 0 else float("nan")
        chance = 0.5 * float(np.exp(-above / self.excess[row])) if self.excess[row] > 0 else 0.0
        return max(chance, self.rate) if height <= self.reach[row] else chance


@dataclass(frozen=True, slots=True)
class FormerLevels:
    """What blocks of 1, 2, 4, ... points of each series had; `step` is the time between two points in seconds.

    `tails` are those of the blocks of each length.
    """

    step: float
    tails: tuple[Tails, ...]

    def chance(self, row: int, seconds: float, height: float) -> float:
        """Return the probability that a block that lasts so long is as high; NaN where too little is known.

        Blocks that are shorter by up to a half stand for it: they reach farther.
        """
        length = int(np.log2(max(seconds / self.step, 1.0)))
        known = (tails.chance(row, height) for tails in self.tails[length::-1] if row >= 0)
        return next((chance for chance in known if np.isfinite(chance)), float("nan"))


def nothing_known() -> FormerLevels:
    """Return the levels of series of which nothing is known."""
    return FormerLevels(1.0, ())


def learn_levels(values: Floats, step: float) -> FormerLevels:
    """Return the levels that a history had.

    Args:
        values: Shape (series, points), the bad side up, without a season.
        step: Seconds between two points.
    """
    return FormerLevels(step, tuple(_tails(_block_means(values, 2**power)) for power in range(MOST_LENGTHS)))


def chance_before(values: Floats, size: int, height: float) -> float:
    """Return the probability that a block of `size` points is as high as `height`, by the blocks of one series.

    Args:
        values: The points before the step, shape (points,), the bad side up.
        size: Points of a block; shorter ones, which reach farther, are taken where there are fewer than LEAST_BLOCKS.
        height: The level to judge, in the signal's unit.
    """
    size = min(size, len(values) // LEAST_BLOCKS)
    if size < 1:
        return float("nan")
    return _tails(_block_means(values[None, :], size)).chance(0, height)


def _block_means(values: Floats, size: int) -> Floats:
    """Return the means of blocks that end with the row, shape (series, blocks); NaN with too many points missing."""
    blocks = values.shape[1] // size
    kept = values[:, values.shape[1] - blocks * size :].reshape(len(values), blocks, size)
    there: NDArray[np.int64] = np.isfinite(kept).sum(axis=2)
    total = np.where(np.isfinite(kept), kept, 0.0).sum(axis=2)
    return np.where(there >= LEAST_OF_BLOCK * size, total / np.maximum(there, 1), np.nan)


def _tails(blocks: Floats) -> Tails:
    """Return the tails of each row's blocks."""
    there = np.isfinite(blocks).sum(axis=1)
    enough = there >= LEAST_BLOCKS
    middle = np.full(len(blocks), np.nan)
    if enough.any():
        middle[enough] = quiet_nanmedian(blocks[enough])
    above = blocks > middle[:, None]
    excess = np.where(above, blocks - middle[:, None], 0.0).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
    times = max(REACHED, int(np.ceil(RARE * blocks.shape[1])))
    if blocks.shape[1] < 2 * times:
        return Tails(middle, excess, np.full(len(blocks), np.inf), 0.0)
    highest = np.partition(np.where(np.isfinite(blocks), blocks, -np.inf), -times, axis=1)
    return Tails(middle, excess, highest[:, -times], times / blocks.shape[1])
