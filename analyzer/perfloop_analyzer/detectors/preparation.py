"""Makes rows ready for the search for steps: gaps closed, wild points pulled in, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.robust import difference_scale

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

BLOCK = 5
CLIP = 3.0
BESIDE = 2


def close_gaps(values: Floats) -> tuple[Floats, Ints | None]:
    """Move each row's data together and fill its end with a mirror image; return where each point came from."""
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
    """Forget steps in or beside the mirror image."""
    known = (places < width).sum(axis=1, keepdims=True)
    return np.asarray(steps & (np.arange(width) <= known - BESIDE), dtype=np.bool_)


def pull_in(values: Floats) -> Floats:
    """Pull every point to within CLIP scales of the medians of its own and the neighbouring blocks."""
    count, width = values.shape
    blocks = -(-width // BLOCK)
    padded = np.concatenate([values, np.repeat(values[:, -1:], blocks * BLOCK - width, axis=1)], axis=1)
    middles = np.median(padded.reshape(count, blocks, BLOCK), axis=2)
    wide = np.concatenate([middles[:, :1], middles, middles[:, -1:]], axis=1)
    low = np.minimum(np.minimum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    high = np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    room = CLIP * np.nan_to_num(difference_scale(values))[:, None]
    at = np.repeat(np.arange(blocks), BLOCK)[:width]
    return np.asarray(np.clip(values, (low - room)[:, at], (high + room)[:, at]), dtype=np.float64)
