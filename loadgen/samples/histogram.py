"""A bounded, mergeable, high-dynamic-range histogram of nanoseconds.

Log-linear buckets as in HdrHistogram: values below 2^11 have a bucket each, every octave above is cut into 2^10 equal
buckets, so a value is known to better than 0.1 % from 1 ns to a day, and there are never more than
2^11 + 36 * 2^10 buckets however many values come in. Only buckets that were hit are stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

PRECISION_BITS = 10
HALF = 1 << PRECISION_BITS
SHIFT_FROM = PRECISION_BITS + 1
SECOND = 1_000_000_000
LARGEST = 86_400 * SECOND

Counts = dict[int, int]


def bucket_of(nanoseconds: int) -> int:
    """Return the bucket that holds the value."""
    shift = nanoseconds.bit_length() - SHIFT_FROM
    return (shift << PRECISION_BITS) + (nanoseconds >> shift) if shift > 0 else max(nanoseconds, 0)


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Return the lowest value of the bucket and the lowest of the next one."""
    shift = (bucket >> PRECISION_BITS) - 1
    if shift <= 0:
        return bucket, bucket + 1
    return (bucket - (shift << PRECISION_BITS)) << shift, (bucket + 1 - (shift << PRECISION_BITS)) << shift


def bucket_middle(bucket: int) -> float:
    """Return the value that stands for everything in the bucket."""
    low, high = bucket_bounds(bucket)
    return low if high - low == 1 else (low + high) / 2


class Histogram:
    """Counts by bucket; `counts` may be written to directly by a hot loop that knows `bucket_of`."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counts = defaultdict(int, counts or {})

    def record(self, nanoseconds: int, times: int = 1) -> None:
        """Count a value; what lies outside 0 to a day is counted at that end."""
        self.counts[bucket_of(min(nanoseconds, LARGEST))] += times

    def merge(self, other: Histogram) -> None:
        """Add every count of the other histogram."""
        counts = self.counts
        for bucket, count in other.counts.items():
            counts[bucket] += count

    @property
    def count(self) -> int:
        """Return how many values were recorded."""
        return sum(self.counts.values())

    @property
    def total_seconds(self) -> float:
        """Return the sum of the values, each taken at its bucket's middle."""
        return sum(bucket_middle(bucket) * count for bucket, count in self.counts.items()) / SECOND

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean, or None of nothing."""
        count = self.count
        return self.total_seconds / count if count else None

    def quantiles_seconds(self, quantiles: Sequence[float]) -> list[float | None]:
        """Return the value at or below which each share of the values lies; None of nothing."""
        total = self.count
        if not total:
            return [None] * len(quantiles)
        buckets = sorted(self.counts)
        found: list[float | None] = [None] * len(quantiles)
        seen, position = 0, -1
        for index in sorted(range(len(quantiles)), key=quantiles.__getitem__):
            rank = max(1, -int(-quantiles[index] * total // 1))
            while seen < rank:
                position += 1
                seen += self.counts[buckets[position]]
            found[index] = bucket_middle(buckets[position]) / SECOND
        return found

    def quantile_seconds(self, quantile: float) -> float | None:
        """Return one quantile."""
        return self.quantiles_seconds([quantile])[0]

    def cumulative(self, bounds_seconds: Iterable[float]) -> list[int]:
        """Return how many values lie at or below each bound; the bounds ascend."""
        buckets = sorted(self.counts)
        result: list[int] = []
        seen = position = 0
        for bound in bounds_seconds:
            limit = bound * SECOND
            while position < len(buckets) and bucket_middle(buckets[position]) <= limit:
                seen += self.counts[buckets[position]]
                position += 1
            result.append(seen)
        return result
