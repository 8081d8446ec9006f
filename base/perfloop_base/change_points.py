"""Where the level of a short series of results changed for good: one result of a run, of a build, of a day.

The least sum of bounded losses over all ways to cut the series into stretches, with a price for each cut ("Changepoint
Detection in the Presence of Outliers", Fearnhead and Rigaill, JASA 114, 2019): the loss of a value is the square of its
distance from its stretch's median in units of the noise, and never more than BOUND squared, so that one odd result is
no change. Values are compared as logarithms: 10 ms to 12 ms is as large a change as 100 ms to 120 ms.
"""

from __future__ import annotations

import itertools
import math
from bisect import insort
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The authors' bound: a value further off than three times the noise is an outlier, however far.
BOUND = 3.0
# A level is one of at least so many values; two odd ones in a row are none.
LEAST_VALUES = 3
# Fewer values say nothing about their own noise.
FEWEST = 2 * LEAST_VALUES
# Work grows with the cube: of a longer series the end is looked at.
MOST = 200
# The price of a cut grows with the number of places for one. A short series knows its noise badly, and needs no lower
# price than this. Together they keep changes that are none to 1 or 2 in 100 series of pure noise, whatever their length
# (tests/base/test_change_points.py).
_PRICE, _LEAST_PRICE = 5.0, 20.0
# Results that repeat better than this are taken to do so by chance.
_LEAST_NOISE = 0.005
# Of a normal distribution: the standard deviation over the median absolute deviation.
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change of level.

    Attributes:
        index: Of the first value of the new level.
        before: Median of the level that ends here.
        after: Median of the level that begins here.
    """

    index: int
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """Return the change as a share of the level before."""
        return self.after / self.before - 1


def change_points(values: Sequence[float], least_ratio: float = 0.05) -> list[ChangePoint]:
    """Return where the level changed, in order; of a series too short or with values that are not above 0, nowhere.

    Args:
        values: Results in the order of time, each above 0.
        least_ratio: Changes of a smaller share of the level, up or down, are not returned.
    """
    skipped = max(0, len(values) - MOST)
    taken = list(values)[skipped:]
    if len(taken) < FEWEST or not all(0 < value < math.inf for value in taken):
        return []
    cuts = _cheapest_cuts([math.log(value) for value in taken])
    while True:
        found = _levels(taken, cuts)
        smallest = min(found, key=_size, default=None)
        if smallest is None or _size(smallest) >= math.log1p(least_ratio):
            return [ChangePoint(one.index + skipped, one.before, one.after) for one in found]
        cuts.remove(smallest.index)


def price_of(count: int) -> float:
    """Return what each cut of a series of `count` values costs."""
    return max(_LEAST_PRICE, _PRICE * math.log(count))


def noise_of(logarithms: Sequence[float]) -> float:
    """Return the standard deviation of neighbours around a level that may change, as a share.

    Differences of neighbours do not see levels, and their median does not see the few that span a change.
    """
    steps = [abs(later - earlier) for earlier, later in itertools.pairwise(logarithms)]
    return max(_MAD * median(steps) / math.sqrt(2), _LEAST_NOISE)


def _cheapest_cuts(logarithms: Sequence[float]) -> list[int]:
    """Return where stretches begin, the first one apart, in the cheapest division of the series."""
    count = len(logarithms)
    price = price_of(count)
    noise = noise_of(logarithms)
    scaled = [value / noise for value in logarithms]
    # The cheapest division of the first `end` values, and where its last stretch begins.
    best = [0.0] + [math.inf] * count
    begins = [0] * (count + 1)
    losses = [_losses(scaled, begin) for begin in range(count)]
    for end in range(LEAST_VALUES, count + 1):
        for begin in range(end - LEAST_VALUES + 1):
            total = best[begin] + losses[begin][end - begin - 1] + (price if begin else 0.0)
            if total < best[end]:
                best[end], begins[end] = total, begin
    cuts = []
    end = count
    while begins[end]:
        end = begins[end]
        cuts.append(end)
    return cuts[::-1]


def _losses(scaled: Sequence[float], begin: int) -> list[float]:
    """Return the loss of each stretch from `begin` on, by its length less 1."""
    ordered: list[float] = []
    found = []
    for value in scaled[begin:]:
        insort(ordered, value)
        middle = ordered[len(ordered) // 2]
        found.append(sum(min((one - middle) ** 2, BOUND**2) for one in ordered))
    return found


def _levels(values: Sequence[float], cuts: Sequence[int]) -> list[ChangePoint]:
    edges = [0, *cuts, len(values)]
    medians = [median(values[start:end]) for start, end in itertools.pairwise(edges)]
    return [ChangePoint(cut, *pair) for cut, pair in zip(cuts, itertools.pairwise(medians), strict=True)]


def _size(change: ChangePoint) -> float:
    return abs(math.log(change.after / change.before))
