"""Native histograms as Prometheus's JSON has them, made one number each: what the signal's name says.

A sample is `{"count": "8", "sum": "1.5", "buckets": [[rule, lower, upper, count], …]}`, the buckets in order and
without the empty ones (https://prometheus.io/docs/prometheus/latest/querying/api/#native-histograms). Quantiles are
those of Prometheus 3: within an exponential bucket the logarithm of the value is interpolated, in any other the value.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_QUANTILE = 0.95
_QUANTILE = re.compile(r"_p(\d{1,4})(?=_|@|$)")
_MEAN = re.compile(r"_(?:mean|avg|average)(?=_|@|$)")
_COUNT = re.compile(r"_(?:rate|per_second|count)(?=_|@|$)")
_SCHEMAS = frozenset(range(-4, 9))  # an exponential bucket is 2^(2^-schema) times as wide as the one before
_TOLERANCE = 1e-6

Bucket = tuple[float, float, float]  # lower bound, upper bound, count


def reduce_histogram(histogram: Mapping[str, Any], signal: str) -> float:
    """Return the number that a histogram stands for: the signal's quantile, mean or count; NaN for an empty one.

    A signal named `…_p99` is that quantile, `…_mean` the mean and `…_rate` the count; any other is the 95th percentile.

    Raises:
        KeyError, TypeError, ValueError: It is no histogram of Prometheus's JSON.
    """
    count, total = float(histogram["count"]), float(histogram["sum"])
    if _COUNT.search(signal):
        return count
    if not count > 0:
        return math.nan
    if _MEAN.search(signal):
        return total / count
    named = _QUANTILE.search(signal)
    quantile = float(f"0.{named[1]}") if named else DEFAULT_QUANTILE
    buckets = [(float(low), float(high), float(number)) for _, low, high, number in histogram.get("buckets") or ()]
    return _quantile(quantile, buckets)


def _quantile(quantile: float, buckets: Sequence[Bucket]) -> float:
    """Return a quantile, interpolated in its bucket; NaN where no bucket holds anything."""
    whole = sum(number for _, _, number in buckets)
    if not whole > 0:
        return math.nan
    rank, below = quantile * whole, 0.0
    for low, high, number in buckets:
        if number > 0 and below + number >= rank:
            if low < 0 < high and not math.isinf(low):
                # The zero bucket: where all other values are on one side of zero, its own are as well.
                is_positive = any(other > 0 for other, _, _ in buckets)
                is_negative = any(other < 0 for _, other, _ in buckets)
                low = 0.0 if is_positive and not is_negative else low  # noqa: PLW2901 # the bound that counts
                high = 0.0 if is_negative and not is_positive else high  # noqa: PLW2901 # the bound that counts
            return _interpolate(low, high, (rank - below) / number)
        below += number
    return buckets[-1][1]


def _interpolate(low: float, high: float, share: float) -> float:
    """Return the value at a share of a bucket; one without an upper end gives its lower, the lowest begins at 0."""
    if math.isinf(high):
        return low
    if math.isinf(low):
        return high if high <= 0 else high * share
    if low > 0 and _is_exponential(low, high):
        return float(low * (high / low) ** share)
    if high < 0 and _is_exponential(-high, -low):
        return float(low * (high / low) ** share)
    return low + (high - low) * share


def _is_exponential(low: float, high: float) -> bool:
    """Return whether a bucket has the width of an exponential schema; custom bounds have it by chance alone."""
    width = math.log2(high / low)
    schema = -math.log2(width) if width > 0 else math.nan
    return math.isfinite(schema) and round(schema) in _SCHEMAS and abs(schema - round(schema)) < _TOLERANCE
