"""Right-sizing from days of usage: the CPU and memory of one replica.

- KRR's simple strategy (robusta-dev/krr): CPU request = 95th percentile of use, memory request = peak x 1.15; from a
  hundred points on.
- The Vertical Pod Autoscaler's decaying histogram (kubernetes/autoscaler, vertical-pod-autoscaler/pkg/recommender):
  samples are counted in exponential buckets, each 5% wider than the one before, with weight 2^(-age / half-life).
  Target, lower and upper bound are the 90th, 50th and 95th percentile plus 15%; the bounds are widened while there is
  little history.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.series import Floats

MARGIN = 1.15
RATIO = 1.05  # of the widths of neighbouring buckets
HALF_LIFE_SECONDS = 86_400.0
SAMPLES_A_DAY = 1440.0  # the VPA samples once a minute
SIZED_SIGNALS = frozenset({"cpu_used_ratio", "memory_used_ratio"})  # whose days the sizes are read from
LEAST_POINTS = 100  # as KRR
LEAST_DAYS = 1.0  # use has a time of day: less than one has not seen its peak


@dataclass(frozen=True, slots=True)
class Usage:
    """What days of one series say about its size, in the unit of the series.

    Attributes:
        high: The 95th percentile, as KRR takes it.
        peak: The largest value.
        decayed: The 90th, 50th and 95th percentile of the values, weighted by the VPA's half-life.
        days: From the first value to the last.
        points: How many values there are.
    """

    high: float
    peak: float
    decayed: tuple[float, float, float]
    days: float
    points: int

    @property
    def is_enough(self) -> bool:
        """Whether a size can be read from it."""
        return self.points >= LEAST_POINTS and self.days >= LEAST_DAYS

    def sizing(self, scale: float, first_bucket: float) -> Sizing:
        """Return the VPA's target and bounds for the use times `scale`; `first_bucket` is in the unit of the result."""
        confidence = max(min(self.days, self.points / SAMPLES_A_DAY), 1e-9)
        target, lower, upper = (_bucket_end(value * scale, first_bucket) * MARGIN for value in self.decayed)
        return Sizing(target, lower * (1 + 0.001 / confidence) ** -2, upper * (1 + 1 / confidence))


@dataclass(frozen=True, slots=True)
class Sizing:
    """The size to request, and the range outside which to change it, in the unit of the use."""

    target: float
    lower: float
    upper: float


def learn_usage(values: Floats, ages: Floats) -> Iterator[tuple[int, Usage]]:
    """Yield the row and the usage of each series that has any value.

    Args:
        values: The samples, shape (series, points); NaN and Inf are skipped.
        ages: The age of each point in seconds, shape (points,).
    """
    there = np.isfinite(values)
    order = np.argsort(np.where(there, values, np.inf), axis=1)
    ranked = np.take_along_axis(values, order, axis=1)
    weights = np.take_along_axis(np.where(there, np.exp2(-ages / HALF_LIFE_SECONDS), 0.0), order, axis=1)
    share = np.cumsum(weights, axis=1)
    for row in np.flatnonzero(there.any(axis=1)):
        count, known = int(there[row].sum()), ages[there[row]]
        own, reached = ranked[row, :count], share[row, :count] / share[row, count - 1]
        # Rounding must not lift a share that is reached exactly to the next value.
        at = np.minimum(np.searchsorted(reached, np.array([0.9, 0.5, 0.95]) - 1e-12), count - 1)
        ninety, half, upper = (float(value) for value in own[at])
        days = float(known.max() - known.min()) / 86_400.0
        yield int(row), Usage(cpu_request(own), float(own[-1]), (ninety, half, upper), days, count)


def cpu_request(use: Floats) -> float:
    """Return KRR's CPU request in cores; `use` is in cores, NaN is skipped."""
    return float(np.nanpercentile(use, 95))


def memory_request(peak: float) -> float:
    """Return KRR's memory request in bytes for a peak in bytes."""
    return peak * MARGIN


def vertical_sizing(use: Floats, ages: Floats, first_bucket: float) -> Sizing:
    """Return the VPA's target and bounds.

    Args:
        use: The samples, in cores or bytes, shape (samples,); NaN is skipped, at least one must be finite.
        ages: The age of each sample in seconds.
        first_bucket: The width of the first bucket, in the unit of `use`.
    """
    ((_, usage),) = learn_usage(use[None, :], ages)
    return usage.sizing(1.0, first_bucket)


def _bucket_end(use: float, first_bucket: float) -> float:
    """Return the upper edge of the exponential bucket that a value falls into."""
    bucket = math.floor(math.log1p(max(use, 0.0) * (RATIO - 1) / first_bucket) / math.log(RATIO))
    return float(first_bucket * (RATIO ** (bucket + 1) - 1) / (RATIO - 1))
