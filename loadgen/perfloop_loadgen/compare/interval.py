"""The mean of a time over repeated runs, and the interval that holds it: how much the next run may differ.

Requests of one run share its caches, connections and neighbours; runs of one test do not. Only the spread between runs
says how well a result repeats (Georges, Buytaert and Eeckhout 2007, "Statistically rigorous Java performance
evaluation"; Kalibera and Jones 2013, "Rigorous benchmarking in reasonable time"). Response times vary by factors rather
than by amounts, so the interval is Student's (1908) on the logarithms: it is that of the geometric mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from perfloop_loadgen.compare.student import critical_t

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
# Two values have a spread, but theirs is off by factors: Student's t is 12.7 there, and 4.3 with a third value.
MIN_RUNS = 2
# More runs than anybody makes: beyond them the answer is "not with runs".
MOST_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """The geometric mean of a value over runs, and the bounds that hold it with 95% confidence, in the value's unit."""

    center: float
    low: float
    high: float
    runs: int
    # Standard deviation of the logarithms: how much, as a share, one run differs from the next.
    spread: float

    @property
    def half_width_ratio(self) -> float:
        """Return by which share of the mean the upper bound lies above it; the 5% of "± 5%"."""
        return self.high / self.center - 1


def interval_of(values: Sequence[float]) -> Interval | None:
    """Return the interval of one value a run.

    Args:
        values: one time or rate of each run, above 0.

    Returns:
        None for fewer than two runs, or where a value is 0: it has no logarithm.
    """
    if len(values) < MIN_RUNS or min(values) <= 0:
        return None
    logs = [math.log(value) for value in values]
    center, spread = fmean(logs), stdev(logs)
    half = _half_width(spread, len(logs))
    return Interval(math.exp(center), math.exp(center - half), math.exp(center + half), len(logs), spread)


def runs_needed(spread: float, ratio: float) -> int | None:
    """Return how many runs make the interval as narrow as ± `ratio`, if their spread stays as it is.

    Args:
        spread: standard deviation of the logarithms, as an interval has it.
        ratio: the half width that is asked for, as a share: 0.05 for ± 5%.

    Returns:
        None if that is more than `MOST_RUNS`.
    """
    allowed = math.log1p(ratio)
    low, high = MIN_RUNS, MOST_RUNS
    if _half_width(spread, high) > allowed:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if _half_width(spread, middle) > allowed else (low, middle)
    return low


def _half_width(spread: float, runs: int) -> float:
    return critical_t(1 - CONFIDENCE, runs - 1) * spread / math.sqrt(runs)
