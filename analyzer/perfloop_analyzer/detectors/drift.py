"""Drift within hours or days: a level that gets worse over all the data there is, less than the week of a full history.

How a drift is distinguished from the day's own rhythm depends on how long the series is:

- From LEAST_DAYS days on the pattern of the day is subtracted, as for a full history (`without_day`).
- From OVERLAP_DAYS on each moment is compared with the same time of the day before. The drift of a day is the median of
  these differences (robust against an outlier of either day), and nearly all blocks of them must have its sign.
- A shorter series has no other day beside it. Over a few minutes no day's rhythm moves far; over hours it may, so that
  the level has to rise farther than a day's rhythm does (see pipeline/trends.py), and steadily.

The test of a shorter or longer series is Mann-Kendall's (`find_trends`); for the comparison of two days it is the sign
test over the blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import bdtrc

from perfloop_analyzer.detectors.robust import quiet_nanmedian
from perfloop_analyzer.detectors.trend import DAY_SECONDS, LEAST_DAYS, block_medians, find_trends, without_day

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

OVERLAP_DAYS = 1.25  # a quarter of a day that can be compared with the day before
BLOCKS = 16
MIN_BLOCKS = 8
SAME_SIGN = 0.9  # share of the blocks that lie on the same side of the day before
STEADY = (0.1, 0.9)  # of the whole rise that the middle third has seen: a step or a bump lies outside


@dataclass(frozen=True, slots=True)
class Drifts:
    """Per series: the level at the start and at the end, the p-value, and whether it moves all the time."""

    before: Floats
    after: Floats
    p_value: Floats
    is_steady: NDArray[np.bool_]


def find_drifts(values: Floats, step: float) -> Drifts:
    """Estimate the drift of every series over its whole length.

    Args:
        values: Shape (series, points).
        step: Seconds between two points.
    """
    days = values.shape[1] * step / DAY_SECONDS
    if OVERLAP_DAYS <= days < LEAST_DAYS:
        return _against_the_day_before(values, step, days)
    flat = without_day(values, step)
    trends = find_trends(flat, step)
    rise = trends.slope * step * values.shape[1]
    first, middle, last = (quiet_nanmedian(part) for part in np.array_split(flat, 3, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = (middle - first) / (last - first)
    # A line through half a wave begins and ends beyond all that was measured.
    blocks, _ = block_medians(flat, BLOCKS)
    low, high = (pick(blocks, axis=1) for pick in (np.fmin.reduce, np.fmax.reduce))
    before, after = np.clip(trends.fit - rise, low, high), np.clip(trends.fit, low, high)
    return Drifts(before, after, trends.p_value, (seen >= STEADY[0]) & (seen <= STEADY[1]))


def _against_the_day_before(values: Floats, step: float, days: float) -> Drifts:
    day = round(DAY_SECONDS / step)
    blocks, _ = block_medians(values[:, day:] - values[:, :-day], BLOCKS)
    there = np.isfinite(blocks).sum(axis=1)
    enough = there >= MIN_BLOCKS
    a_day = np.where(enough, quiet_nanmedian(blocks), np.nan)
    same = (np.sign(blocks) == np.sign(a_day)[:, None]).sum(axis=1)
    before = quiet_nanmedian(values[:, :day]) - a_day / 2
    p_value = np.where(enough, np.minimum(1.0, 2.0 * bdtrc(np.maximum(same - 1, 0), np.maximum(there, 1), 0.5)), np.nan)
    return Drifts(before, before + a_day * days, p_value, same >= SAME_SIGN * there)


def growth_of(load: Floats) -> float:
    """Return by how much a load has grown from the first third of its time to the last, at least 1; NaN if unknown."""
    parts: list[Any] = [quiet_nanmedian(part[None, :])[0] for part in np.array_split(load, 3)]
    first, last = float(parts[0]), float(parts[2])
    return max(1.0, last / first) if first > 0 and np.isfinite(last) else float("nan")
