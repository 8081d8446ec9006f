"""Formulas of other programs, written down from their sources."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def histogram_quantile(quantile: float, bounds: Sequence[float], cumulative: Sequence[float]) -> float:
    """PromQL's function of a classic histogram: a straight line through the bucket that holds the rank.

    Source: prometheus/prometheus:promql/quantile.go, bucketQuantile. tests/prometheus/test_quantiles.py compares it
    with the real one.

    Args:
        quantile: between 0 and 1.
        bounds: upper bounds without +Inf.
        cumulative: how many values are at or below each bound, and how many there are.
    """
    rank = quantile * cumulative[-1]
    if not cumulative[-1]:
        return math.nan
    place = next(at for at, count in enumerate(cumulative) if count >= rank)
    if place == len(bounds):
        return bounds[-1]
    low, below = (bounds[place - 1], cumulative[place - 1]) if place else (0.0, 0)
    return low + (bounds[place] - low) * (rank - below) / (cumulative[place] - below)
