"""The load of the next minutes: what it is now, where it is going, and how much more it became within as long before.

A replica takes minutes to start, so the load that counts is the highest until a replica that is asked for now answers.
How far it may rise until then is read from the recent past: for each of its moments, by how much the peak of the
following `ahead` seconds exceeded the load of the moment. How much of that follows from the change in the MOMENTUM
seconds before (a ramp goes on, a spike goes back) is learned by least squares; the quantile of what is left is added.

Rises are taken of square roots: that of a Poisson count has nearly the same variance at every rate (Bartlett, "The
square root transformation in analysis of variance", 1936), so that what a quiet hour shows holds for a busy one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_POINTS = 5  # of the load: fewer are no history
MOMENTUM = 90.0  # seconds, about a third of the minutes that replicas take
LEAST_MOMENTUM, MOST_MOMENTUM = -0.9, 2.0  # times as far as it went; more load now never means less load ahead
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
    rise = _rise(np.sqrt(known), math.ceil(MOMENTUM / step), max(1, math.ceil(ahead / step)), confidence)
    if rise is None:
        return Ahead(now, float(np.nanmax(known)), ahead)
    return Ahead(now, max(now, max(math.sqrt(now) + rise, 0.0) ** 2), ahead)


def _rise(roots: Floats, lag: int, points: int, confidence: float) -> float | None:
    """Return by how much the peak of the next `points` exceeds the root of the load now; None of too short a past."""
    if len(roots) <= lag + points:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(roots[lag + 1 :], points)
    # A window that is not known in whole may have had its peak where it is not.
    rises = windows.max(axis=1) - roots[lag : lag + len(windows)]
    changes = roots[lag:] - roots[:-lag]
    before = changes[: len(rises)]
    there = np.isfinite(rises) & np.isfinite(before)
    if there.sum() < LEAST_RISES:
        return None
    rises, before = rises[there], before[there]
    spread = float(((before - before.mean()) ** 2).sum())
    together = float(((before - before.mean()) * (rises - rises.mean())).sum())
    momentum = min(max(together / spread, LEAST_MOMENTUM), MOST_MOMENTUM) if spread > 0 else 0.0
    now = float(changes[-1]) if np.isfinite(changes[-1]) else 0.0
    return momentum * now + float(np.quantile(rises - momentum * before, confidence))
