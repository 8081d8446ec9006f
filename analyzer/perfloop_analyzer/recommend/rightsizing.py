"""Right-sizing from usage: KRR's simple strategy and the Vertical Pod Autoscaler's decaying histogram.

KRR: CPU request = 95th percentile of use, memory request = peak x 1.15. VPA: samples fall into exponential buckets
(each 5 % wider than the one before) with weight 2^(age / half-life); target, lower and upper are the 90th, 50th and
95th percentile, each with 15 % on top, the bounds widened while there is little history
(kubernetes/autoscaler, vertical-pod-autoscaler/pkg/recommender).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

MARGIN = 1.15
RATIO = 1.05
HALF_LIFE_SECONDS = 86_400.0
SAMPLES_A_DAY = 1440.0


@dataclass(frozen=True, slots=True)
class Sizing:
    """What to ask for, and the range outside which to change it."""

    target: float
    lower: float
    upper: float


def cpu_request(use: Floats) -> float:
    """Return KRR's CPU request."""
    return float(np.nanpercentile(use, 95))


def memory_request(peak: float) -> float:
    """Return KRR's memory request for a peak."""
    return peak * MARGIN


def vertical_sizing(use: Floats, ages: Floats, first_bucket: float) -> Sizing:
    """Return VPA's target and bounds; `ages` are seconds before now."""
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
