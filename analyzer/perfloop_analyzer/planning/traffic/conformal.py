"""Bounds from a series' own past errors: the interval that held so many of them (conformal prediction).

V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005. Errors of forecasts that overlap are
alike, so that a past of a few horizons holds a few errors, not thousands: the interval is widened as Student's t widens
the normal one for so many, and by the error of the middle itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri, stdtrit

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LOWER, UPPER = 0.05, 0.95


def quantile(values: Floats, share: float) -> Floats:
    """Return the quantile over the last axis; NaN is not counted, and without any value the answer is NaN."""
    ordered = np.sort(values, axis=-1)  # NaN last
    known = np.isfinite(values).sum(axis=-1)
    place = np.maximum(share * (known - 1), 0.0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(known - 1, 0))
    first, second = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (low, high))
    return np.asarray(first + (place - low) * (second - first), dtype=np.float64)


def widening(independent: Floats) -> Floats:
    """Return by how much bounds from so many independent errors are wider than from very many."""
    count = np.maximum(independent, 1.0)
    return np.asarray(stdtrit(count, UPPER) / ndtri(UPPER) * np.sqrt(1.0 + 1.0 / count), dtype=np.float64)


def margins(errors: Floats, independent: Floats) -> tuple[Floats, Floats]:
    """Return what is to be added to a forecast for its lower and its upper bound.

    Args:
        errors: Value minus forecast, shape (..., errors); NaN is not counted.
        independent: How many independent errors they are worth, broadcast against the leading axes.
    """
    wide = widening(independent)
    return wide * np.minimum(quantile(errors, LOWER), 0.0), wide * np.maximum(quantile(errors, UPPER), 0.0)
