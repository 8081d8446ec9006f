"""A bounded, mergeable, high-dynamic-range histogram of nanoseconds.

Log-linear buckets, the layout of HdrHistogram (hdrhistogram.org): values below 2^11 have a bucket each, every octave
above is cut into 2^10 equal buckets, so a value is known to better than 0.1% from 1 ns to a day, and there are never
more than 2^11 + 36 * 2^10 buckets however many values come in. Only buckets that were hit are stored.
"""

from __future__ import annotations

import operator
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PRECISION_BITS = 10
HALF = 1 << PRECISION_BITS
SHIFT_FROM = PRECISION_BITS + 1
SECOND = 1_000_000_000
LARGEST = 86_400 * SECOND

Counts = dict[int, int]


def bucket_of(nanoseconds: int) -> int:
    """Return the bucket that holds the value, which is not negative."""
    shift = nanoseconds.bit_length() - SHIFT_FROM
    return (shift << PRECISION_BITS) + (nanoseconds >> shift) if shift > 0 else nanoseconds


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Return the lowest value of the bucket and the lowest of the next one, in nanoseconds."""
    shift = (bucket >> PRECISION_BITS) - 1
    if shift <= 0:
        return bucket, bucket + 1
    return (bucket - (shift << PRECISION_BITS)) << shift, (bucket + 1 - (shift << PRECISION_BITS)) << shift


# By bucket, the value that represents everything in it. Buckets of one nanosecond come first, then octave by octave.
_MIDDLES = array("d", range(2 * HALF))
for _shift in range(1, LARGEST.bit_length() - PRECISION_BITS):
    _MIDDLES.extend(range((HALF << _shift) + (1 << _shift - 1), 2 * HALF << _shift, 1 << _shift))


class Histogram:
    """Counts by bucket; `counts` may be written to directly by a hot loop that knows `bucket_of`.

    Histograms are read on the event loop that also sends requests, so passes over all buckets are left to functions
    written in C where those are faster.
    """

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: Counts = defaultdict(int, counts or {})

    def record(self, nanoseconds: int, times: int = 1) -> None:
        """Count a value; one outside 0 to a day is counted at that end."""
        self.counts[bucket_of(min(max(nanoseconds, 0), LARGEST))] += times

    def merge(self, other: Histogram) -> None:
        """Add every count of the other histogram."""
        counts = self.counts
        if not counts:
            counts.update(other.counts)  # in C, and the common case: a new total
            return
        for bucket, count in other.counts.items():
            counts[bucket] += count

    @property
    def count(self) -> int:
        """Return how many values were recorded."""
        return sum(self.counts.values())

    @property
    def total_seconds(self) -> float:
        """Return the sum of the values, each taken at its bucket's middle."""
        middles = map(_MIDDLES.__getitem__, self.counts)
        nanoseconds: float = sum(map(operator.mul, middles, self.counts.values()))
        return nanoseconds / SECOND

    @property
    def mean_seconds(self) -> float | None:
        """Return the mean, or None without values."""
        count = self.count
        return self.total_seconds / count if count else None

    def quantiles_seconds(self, quantiles: Sequence[float]) -> list[float | None]:
        """Return the value of each quantile (0 to 1) by nearest rank: the smallest with that share at or below it."""
        buckets, seen = self._ascending()
        if not seen:
            return [None] * len(quantiles)
        ranks = (max(1, -int(-quantile * seen[-1] // 1)) for quantile in quantiles)
        return [_MIDDLES[buckets[bisect_left(seen, rank)]] / SECOND for rank in ranks]

    def quantile_seconds(self, quantile: float) -> float | None:
        """Return one quantile."""
        return self.quantiles_seconds([quantile])[0]

    def cumulative(self, bounds_seconds: Iterable[float]) -> list[int]:
        """Return how many values are at or below each bound; the bounds ascend."""
        buckets, seen = self._ascending()
        ends = (bisect_right(buckets, bound * SECOND, key=_MIDDLES.__getitem__) for bound in bounds_seconds)
        return [seen[end - 1] if end else 0 for end in ends]

    def _ascending(self) -> tuple[list[int], list[int]]:
        """Return the buckets with values, ascending, and for each how many values are in it or below."""
        buckets = sorted(self.counts)
        return buckets, list(accumulate(map(self.counts.__getitem__, buckets)))
