"""Whether response times crept up over a run."""

from __future__ import annotations

from collections.abc import Sequence

from perfloop_loadgen.pacing.endurance import drift_ratio
from perfloop_loadgen.samples.book import Point


def drift_of(points: Sequence[Point]) -> float | None:
    """Return the rise of the p95 over the run as a share of its median; None of too few points."""
    return drift_ratio(
        [(point.elapsed_seconds, point.p95_seconds) for point in points if point.p95_seconds is not None]
    )
