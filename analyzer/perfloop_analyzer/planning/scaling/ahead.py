"""The load of the next minutes: what it is now, and how much more it has become within as long before.

A replica takes minutes to start, so the load that counts is the highest until a replica that is asked for now answers.
How far it may rise until then is read from the recent past: for each of its moments, by how much the peak of the
following `ahead` seconds exceeded the load of the moment. The quantile of these rises is added to the load now. Rises
are taken of square roots: the square root of a Poisson count has nearly the same variance at every rate (Bartlett,
"The square root transformation in analysis of variance", 1936): what a quiet hour shows then holds for a busy one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_POINTS = 5  # of the load: fewer are no history
LEAST_RISES = 8  # of which a quantile is taken; before there are so many, the highest load so far counts


@dataclass(frozen=True, slots=True)
class Ahead:
    """The load now, and the highest of the next `seconds` that is not exceeded with the asked confidence."""

    now: float
    upper: float
    seconds: float


def load_ahead(history: Floats, step: float, ahead: float, confidence: float) -> Ahead | None:
    """Return the load of the next minutes; None where it is not known now, or since too short a time.

    Args:
        history: The load at equally spaced moments, the newest last, shape (points,), 0 or more; NaN is unknown.
        step: Seconds between two points.
        ahead: How many seconds to look ahead.
        confidence: The share of the past moments whose rise the answer covers, from 0 to 1.
    """
    known = np.where(np.isfinite(history) & (history >= 0), history, np.nan)
    # One lost scrape is bridged, more are no present.
    now = next((float(value) for value in known[-2:][::-1] if math.isfinite(value)), None)
    if now is None or np.isfinite(known).sum() < LEAST_POINTS:
        return None
    rises = _rises(known, max(1, math.ceil(ahead / step)))
    if len(rises) < LEAST_RISES:
        return Ahead(now, float(np.nanmax(known)), ahead)
    rise = max(0.0, float(np.quantile(rises, confidence)))
    return Ahead(now, max(now, (math.sqrt(now) + rise) ** 2), ahead)


def _rises(loads: Floats, points: int) -> Floats:
    """Return by how much the root of the peak of the following `points` exceeds that of each moment."""
    if len(loads) <= points:
        return np.empty(0)
    roots = np.sqrt(loads)
    windows = np.lib.stride_tricks.sliding_window_view(roots[1:], points)
    # A window that is not known in whole may have had its peak where it is not.
    rises = windows.max(axis=1) - roots[: len(windows)]
    return np.asarray(rises[np.isfinite(rises)], dtype=np.float64)
