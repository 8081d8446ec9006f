"""Right-sizing from usage: the CPU and memory of one replica, and how many replicas there should be.

- KRR's simple strategy (robusta-dev/krr): CPU request = 95th percentile of use, memory request = peak x 1.15.
- The Vertical Pod Autoscaler's decaying histogram (kubernetes/autoscaler, vertical-pod-autoscaler/pkg/recommender):
  samples are counted in exponential buckets, each 5% wider than the one before, with weight 2^(-age / half-life).
  Target, lower and upper bound are the 90th, 50th and 95th percentile plus 15%; the bounds are widened while there is
  little history.
- The Horizontal Pod Autoscaler's ratio: replicas = ceil(replicas x use / target), unchanged while use is within 10% of
  the target. Use is the CPU that the service's own processes take, as a share of one replica's cores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

MARGIN = 1.15
RATIO = 1.05  # of the widths of neighbouring buckets
HALF_LIFE_SECONDS = 86_400.0
SAMPLES_A_DAY = 1440.0  # the VPA samples once a minute
REPLICA_CPU_TARGET = 0.7
REPLICA_TOLERANCE = 0.1  # of the target, the HPA's default


@dataclass(frozen=True, slots=True)
class Sizing:
    """The size to request, and the range outside which to change it, in the unit of the use."""

    target: float
    lower: float
    upper: float


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
    there = np.isfinite(use)
    use, ages = use[there], ages[there]
    bucket = np.floor(np.log1p(np.maximum(use, 0) * (RATIO - 1) / first_bucket) / np.log(RATIO)).astype(np.int64)
    weights = np.bincount(bucket, weights=np.exp2(-ages / HALF_LIFE_SECONDS))
    share = np.cumsum(weights) / weights.sum()
    edges = first_bucket * (RATIO ** np.arange(1, len(weights) + 1) - 1) / (RATIO - 1)
    days = (ages.max() - ages.min()) / HALF_LIFE_SECONDS
    confidence = max(min(days, len(use) / SAMPLES_A_DAY), 1e-9)
    target, lower, upper = (edges[np.searchsorted(share, q - 1e-12)] * MARGIN for q in (0.9, 0.5, 0.95))
    return Sizing(float(target), float(lower * (1 + 0.001 / confidence) ** -2), float(upper * (1 + 1 / confidence)))


def desired_replicas(replicas: float, cores_used: float, cores_of_one: float) -> int:
    """Return the number of replicas that brings the CPU use of each to REPLICA_CPU_TARGET.

    Args:
        replicas: Running replicas, at least 1.
        cores_used: CPU cores that all replicas use together.
        cores_of_one: CPU cores that one replica has.
    """
    use = cores_used / (replicas * cores_of_one)
    if abs(use / REPLICA_CPU_TARGET - 1.0) <= REPLICA_TOLERANCE:
        return round(replicas)
    return max(1, math.ceil(replicas * use / REPLICA_CPU_TARGET))
