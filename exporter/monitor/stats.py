"""The statistics of the values that were recorded lately."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricStats:
    """What `get_metric_stats` answers, in the unit of the recorded values; NaN where nothing was recorded."""

    count: int
    mean: float
    median: float
    p95: float
    p99: float
    min: float
    max: float
    std: float
    last: float


def summarize(values: Sequence[float]) -> MetricStats:
    """The statistics of `values`, oldest first."""
    if not values:
        return MetricStats(0, *(math.nan,) * 8)
    ordered = sorted(values)
    return MetricStats(
        count=len(values),
        mean=statistics.fmean(values),
        median=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        min=ordered[0],
        max=ordered[-1],
        std=statistics.stdev(values) if len(values) > 1 else 0.0,
        last=values[-1],
    )


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The linearly interpolated quantile of sorted values: numpy's default method."""
    position = (len(ordered) - 1) * fraction
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
