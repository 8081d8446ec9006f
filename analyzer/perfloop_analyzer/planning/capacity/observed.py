"""The rate up to which the objectives were kept, and beyond which they were broken, as it was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.demand import resample
from perfloop_analyzer.planning.figures import Bounds

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_POINTS = 3  # on either side
MOST_WRONG = 0.1  # share of the points on the wrong side: more is not a matter of the rate


def find_boundary(rate: Floats, is_kept: Floats) -> Bounds | None:
    """Return the rate at which the objectives break; None where the points show no such rate.

    Args:
        rate: Requests per second at each point, shape (points,).
        is_kept: 1 where every objective was kept, else 0.
    """
    kept, broken = int(is_kept.sum()), int(len(rate) - is_kept.sum())
    if kept < LEAST_POINTS or broken < LEAST_POINTS:
        return None
    between, wrong = _split(rate, is_kept)
    # A few broken points among many kept ones are no boundary either: most of what is above it must be broken.
    above = is_kept[rate > between]
    if wrong > MOST_WRONG * len(rate) or len(above) < LEAST_POINTS or above.mean() > 2 * MOST_WRONG:
        return None
    found = [_split(rate[row], is_kept[row])[0] for row in resample(len(rate)).astype(int)]
    lower, upper = np.quantile(found, [0.05, 0.95])
    below, beyond = rate[(rate <= between) & (is_kept > 0)], rate[(rate > between) & (is_kept == 0)]
    # No surer than the points beside it are near.
    lower, upper = (
        min(float(lower), float(below.max(initial=0.0))),
        max(float(upper), float(beyond.min(initial=between))),
    )
    return Bounds(min(lower, between), between, max(upper, between))


def highest_kept(rate: Floats, is_kept: Floats) -> float:
    """Return a rate that was kept for a while: the third highest below all that were broken; 0 if there is none."""
    broken = rate[is_kept == 0]
    kept = np.sort(rate[(is_kept > 0) & (rate < broken.min(initial=np.inf))])
    return float(kept[-LEAST_POINTS]) if len(kept) >= LEAST_POINTS else 0.0


def _split(rate: Floats, is_kept: Floats) -> tuple[float, int]:
    """Return the rate that parts kept from broken points best, and how many lie on the wrong side."""
    order = np.argsort(rate, kind="stable")
    rates, kept = rate[order], is_kept[order]
    # Parted after each number of points: broken ones before, and kept ones after.
    wrong = np.concatenate([[0.0], np.cumsum(1 - kept)]) + np.concatenate([np.cumsum(kept[::-1])[::-1], [0.0]])
    best = int(np.argmin(wrong))
    edges = np.concatenate([rates[:1], rates, rates[-1:]])
    return float((edges[best] + edges[best + 1]) / 2), int(wrong[best])
