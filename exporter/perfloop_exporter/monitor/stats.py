"""Statistics of recorded values."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class MetricStats:
    """What `get_metric_stats` returns, in the unit of the recorded values; NaN where nothing was recorded."""

    count: int
    mean: float
    median: float
    p95: float
    p99: float
    min: float
    max: float
    std: float
    last: float
    unit: str = ""


def summarize(values: Sequence[float], unit: str = "") -> MetricStats:
    """Return the statistics of `values`, oldest first; `std` is the sample standard deviation (n - 1)."""
    if not values:
        return MetricStats(0, *(math.nan,) * 8, unit=unit)
    ordered = sorted(values)
    return MetricStats(
        count=len(values),
        mean=_mean(values),
        median=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        min=ordered[0],
        max=ordered[-1],
        std=_deviation(values),
        last=values[-1],
        unit=unit,
    )


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """Return the linearly interpolated quantile of sorted values: method 7 of Hyndman and Fan, numpy's default."""
    position = (len(ordered) - 1) * fraction
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def _mean(values: Sequence[float]) -> float:
    try:
        return statistics.fmean(values)
    except OverflowError:  # the sum is beyond what a float can be, the mean is not
        return math.fsum(value / len(values) for value in values)


def _deviation(values: Sequence[float]) -> float:
    # statistics.stdev computes in rationals, which takes a hundred times as long; fsum of squares is exact enough.
    if len(values) < 2:  # noqa: PLR2004 - one value has no spread
        return 0.0
    mean = _mean(values)
    try:
        return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    except OverflowError:
        return math.inf
