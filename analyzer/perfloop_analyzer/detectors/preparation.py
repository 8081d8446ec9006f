"""Prepares rows for the search for change points: closes gaps, clips outliers, and maps indices back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.robust import difference_scale

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Points of one local median: an excursion of up to five points, shorter than a level lasts, is the minority of a long
# row's block; in a short row so wide a block would hide the levels.
SHORTEST_BLOCK, LONGEST_BLOCK = 5, 11
BLOCKS = 20
CLIP = 3.0  # scales
BESIDE = 2  # points before the mirror image in which a step is not trusted


def close_gaps(values: Floats) -> tuple[Floats, Ints | None]:
    """Return rows without gaps: data moved together, the end filled with its mirror image.

    Returns:
        The rows, shape (series, points), and the original index of each point (the width for mirrored points); None
        instead of the indices when there was no gap.
    """
    there = np.isfinite(values)
    if there.all():
        return values, None
    width = values.shape[1]
    order = np.argsort(~there, axis=1, kind="stable")
    known = there.sum(axis=1, keepdims=True)
    place = np.arange(width)
    mirror = np.clip(2 * known - 1 - place, 0, width - 1)
    source = np.take_along_axis(order, np.where(place < known, place, mirror), axis=1)
    whole = np.nan_to_num(np.take_along_axis(values, source, axis=1))
    return whole, np.where(place < known, order, width)


def within_data(steps: Bools, places: Ints, width: int) -> Bools:
    """Return the steps without those in or beside the mirror image; `width` is the number of points."""
    known = (places < width).sum(axis=1, keepdims=True)
    return np.asarray(steps & (np.arange(width) <= known - BESIDE), dtype=np.bool_)


def resolution(values: Floats) -> Floats:
    """Return the smallest difference between values of each row, shape (rows,), 0 where all are equal."""
    apart = np.diff(np.sort(values, axis=1), axis=1)
    # Below, a difference is the rounding of floating-point numbers, not of the measurement.
    least = 1e-9 * np.abs(values).max(axis=1, keepdims=True)
    smallest = np.where(apart > least, apart, np.inf).min(axis=1)
    return np.asarray(np.where(np.isfinite(smallest), smallest, 0.0), dtype=np.float64)


def pull_in(values: Floats) -> Floats:
    """Return the rows with every point clipped to CLIP scales around the medians of its own and neighbouring blocks."""
    count, width = values.shape
    block = min(LONGEST_BLOCK, max(SHORTEST_BLOCK, width // BLOCKS))
    blocks = -(-width // block)
    padded = np.concatenate([values, np.repeat(values[:, -1:], blocks * block - width, axis=1)], axis=1)
    middles = np.median(padded.reshape(count, blocks, block), axis=2)
    wide = np.concatenate([middles[:, :1], middles, middles[:, -1:]], axis=1)
    low = np.minimum(np.minimum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    high = np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    reach = CLIP * np.nan_to_num(difference_scale(values))[:, None]
    at = np.repeat(np.arange(blocks), block)[:width]
    return np.asarray(np.clip(values, (low - reach)[:, at], (high + reach)[:, at]), dtype=np.float64)
