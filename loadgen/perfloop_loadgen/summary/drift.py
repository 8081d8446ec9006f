"""Whether something crept up over a run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from perfloop_loadgen.samples.book import Point

# Fewer points say nothing about a trend.
MIN_POINTS = 10
# The number of pairs grows with the square of the points: beyond this many, every n-th point is taken.
_MAX_POINTS = 300


def drift_ratio(points: Sequence[tuple[float, float]]) -> float | None:
    """Return how much a value rose over a run, as a share of its median; None of too few points.

    The slope is the Theil-Sen estimator (Theil 1950, Sen 1968): the median of the slopes of all pairs of points, which
    a few spikes cannot move.

    Args:
        points: (seconds, value) in the order of time.
    """
    step = -(-len(points) // _MAX_POINTS)
    taken = list(points)[:: step or 1]
    if len(taken) < MIN_POINTS:
        return None
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for at, earlier in enumerate(taken)
        for later in taken[at + 1 :]
        if later[0] > earlier[0]
    ]
    level = median(value for _, value in taken)
    return median(slopes) * (taken[-1][0] - taken[0][0]) / level if slopes and level else None


def drift_of(points: Sequence[Point]) -> float | None:
    """Return the rise of the p95 over the run as a share of its median; None of too few points."""
    return drift_ratio(
        [(point.elapsed_seconds, point.p95_seconds) for point in points if point.p95_seconds is not None]
    )
