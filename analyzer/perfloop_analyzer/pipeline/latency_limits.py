"""Until when response times keep their limits: what grows towards it, what does not, and what is not known.

A latency has no capacity that ends it; it has a limit that people have set, of its own for each service. Readings
alone: what grows for the worse is a finding of the trends already. Three answers are distinct. A number of seconds with
its bounds: it grows, and reaches the limit then. Infinite: it does not grow, so that it never does at present. None:
too little is known, or it grows so slowly or from so far below that a number would be a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.forecast import LEAST_POINTS, forecast_limit
from perfloop_analyzer.detectors.threshold import first_limit
from perfloop_analyzer.detectors.trend import find_trends, without_day
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.pipeline.subject import Subject
    from perfloop_analyzer.series import Floats

Bounds = dict[str, float]
GROWS = 0.01  # the probability by chance from which on a growth is none: a smaller one is not called never
NEWEST = 3  # points whose median is the level now
STALE = 6  # points without a value: nothing is known of now


def find_latency_limits(subject: Subject) -> Iterator[tuple[int, Bounds]]:
    """Yield for each series of a latency the seconds until its limit, by bound, where something is known."""
    batch, signal = subject.batch, subject.signal
    if signal.direction != "above":
        return
    for row, values in enumerate(batch.values):
        limit = first_limit(signal.limit_of(service_of(batch.labels[row], signal.service)))
        if limit is not None and (found := until_limit(values, batch.grid.step, limit)):
            yield row, found


def until_limit(values: Floats, step: float, limit: float) -> Bounds:
    """Return the seconds until a latency reaches its limit, by bound; nothing where it is not known.

    Args:
        values: Shape (points,), the newest last; NaN where there is no value.
        step: Seconds between two points.
        limit: In the signal's unit.

    Returns:
        `expected`, `lower` and `upper`: all 0 from the limit on; without `upper` it may never come; `expected` alone,
        infinite, where it does not grow.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < LEAST_POINTS or known[-1] < len(values) - STALE:
        return {}
    own = values[known[0] :]
    if float(np.median(values[known[-NEWEST:]])) >= limit:
        return {"expected": 0.0, "lower": 0.0, "upper": 0.0}
    ahead = forecast_limit(own[None, :], step, limit)
    if np.isfinite(ahead.seconds[0]):
        numbers = {"expected": ahead.seconds[0], "lower": ahead.soonest[0], "upper": ahead.latest[0]}
        return {bound: float(value) for bound, value in numbers.items() if np.isfinite(value)}
    trend = find_trends(without_day(own[None, :], step), step)
    is_flat = trend.slope[0] <= 0 or trend.p_value[0] > GROWS
    return {"expected": float("inf")} if np.isfinite(trend.p_value[0]) and is_flat else {}
