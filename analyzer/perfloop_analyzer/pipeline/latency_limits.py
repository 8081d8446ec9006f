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
from perfloop_analyzer.detectors.robust import quiet_nanmedian
from perfloop_analyzer.detectors.threshold import first_limit
from perfloop_analyzer.detectors.trend import find_trends, without_day
from perfloop_analyzer.series import service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from perfloop_analyzer.pipeline.subject import Subject
    from perfloop_analyzer.series import Floats

Bounds = dict[str, float]
GROWS = 0.01  # the probability by chance from which on a growth is none: a smaller one is not called never
PARTS = (1.0, 0.5, 0.25)  # of the history, the newest: what was reset and grows again falls over the whole
NEWEST = 6  # points whose median is the level now; without a value in them nothing is known of now


def find_latency_limits(subject: Subject) -> Iterator[tuple[int, Bounds]]:
    """Yield for each series of a latency the seconds until its limit, by bound, where something is known."""
    batch, signal = subject.batch, subject.signal
    if signal.direction != "above":
        return
    found = (first_limit(signal.limit_of(service_of(labels, signal.service))) for labels in batch.labels)
    limits = np.array([np.nan if limit is None else limit for limit in found])
    for limit in np.unique(limits[np.isfinite(limits)]):
        rows = np.flatnonzero(limits == limit)
        for row, until in zip(rows, until_limit(batch.values[rows], batch.grid.step, float(limit)), strict=True):
            if until:
                yield int(row), until


def until_limit(values: Floats, step: float, limit: float) -> list[Bounds]:
    """Return the seconds until each latency reaches its limit, by bound; nothing where it is not known.

    Args:
        values: Shape (series, points), the newest last; NaN where there is no value.
        step: Seconds between two points.
        limit: In the signal's unit.

    Returns:
        `expected`, `lower` and `upper`: all 0 from the limit on; without `upper` it may never come; `expected` alone,
        infinite, where it does not grow.
    """
    level = quiet_nanmedian(values[:, -NEWEST:])
    known = (np.isfinite(values).sum(axis=1) >= LEAST_POINTS) & np.isfinite(level)
    ahead = forecast_limit(values, step, limit)
    still = _does_not_grow(values, step, known & ~np.isfinite(ahead.seconds))
    answers: list[Bounds] = []
    for row in range(len(values)):
        if known[row] and level[row] >= limit:
            answers.append({"expected": 0.0, "lower": 0.0, "upper": 0.0})
        elif known[row] and np.isfinite(ahead.seconds[row]):
            three = {"expected": ahead.seconds[row], "lower": ahead.soonest[row], "upper": ahead.latest[row]}
            answers.append({bound: float(value) for bound, value in three.items() if np.isfinite(value)})
        else:
            answers.append({"expected": float("inf")} if still[row] else {})
    return answers


def _does_not_grow(values: Floats, step: float, rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of some series do not grow: over all the time that each has, and over its newest parts."""
    still = np.zeros(len(values), dtype=np.bool_)
    begins = np.argmax(np.isfinite(values), axis=1)
    for begin in np.unique(begins[rows]):
        own = np.flatnonzero(rows & (begins == begin))
        calm = without_day(values[own, begin:], step)
        still[own] = True
        for part in PARTS:
            trends = find_trends(calm[:, calm.shape[1] - max(LEAST_POINTS, round(part * calm.shape[1])) :], step)
            still[own] &= (trends.slope <= 0) | (trends.p_value > GROWS)
    return still
