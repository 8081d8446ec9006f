"""Robust medians and scales that several detectors share; every function works on all rows together.

The median absolute deviation times 1.4826 estimates a Gaussian's standard deviation (F. R. Hampel, 1974). For a series
that may step or drift, the scale comes from its first differences: sigma = 1.4826 median|x(t+1) - x(t)| / sqrt(2),
which a step enters once and a trend hardly at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

GAUSS = 1.4826


def quiet_nanmedian(values: Floats, axis: int = 1) -> Floats:
    """Return the median along an axis without NaN; rows without data give NaN and no warning."""
    missing = np.isnan(values)
    # np.median is several times faster than np.nanmedian.
    if not missing.any():
        return np.asarray(np.median(values, axis=axis), dtype=np.float64)
    # Not by switching numpy's warnings off: that is the whole process's, and several threads do this at once.
    empty = missing.all(axis=axis)
    filled = np.where(np.expand_dims(empty, axis), 0.0, values) if empty.any() else values
    with np.errstate(invalid="ignore"):
        middle = np.asarray(np.nanmedian(filled, axis=axis), dtype=np.float64)
    return np.where(empty, np.nan, middle)


def mad_scale(values: Floats, center: Floats) -> Floats:
    """Return the scaled median absolute deviation of each row from its `center`, shape (series,)."""
    return np.asarray(GAUSS * quiet_nanmedian(np.abs(values - center[:, None])), dtype=np.float64)


def difference_scale(values: Floats) -> Floats:
    """Return the noise scale of each row, shape (series,), from its first differences.

    Many metrics do not change between most scrapes: where the median difference is zero, zero differences are skipped.
    """
    moves = np.abs(np.diff(values, axis=1))
    scale = GAUSS * quiet_nanmedian(moves) / np.sqrt(2.0)
    still = ~(scale > 0)
    if still.any():
        rows = np.where(moves[still] > 0, moves[still], np.nan)
        scale[still] = GAUSS * quiet_nanmedian(rows) / np.sqrt(2.0)
    return np.asarray(scale, dtype=np.float64)


def fill_gaps(values: Floats) -> Floats:
    """Return the rows with every NaN replaced by the value before it, else by the first value; empty rows give 0."""
    there = np.isfinite(values)
    if there.all():
        return values
    width = values.shape[1]
    last = np.maximum.accumulate(np.where(there, np.arange(width), -1), axis=1)
    first = np.argmax(there, axis=1)
    last = np.where(last < 0, first[:, None], last)
    filled = np.take_along_axis(values, last, axis=1)
    return np.asarray(np.where(np.isfinite(filled), filled, 0.0), dtype=np.float64)
