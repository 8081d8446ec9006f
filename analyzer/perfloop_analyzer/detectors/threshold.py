"""Threshold: how far a signal is beyond its limit, and since when.

The excess e = (v - warning) / (critical - warning) is 0 at the warning limit and 1 at the critical one, in the
direction of the limit, so that signals of any unit compare. Without a critical limit, twice the warning (half of it,
where less is worse) takes its place in this scale. The onset is the start of the unbroken run of points beyond the
warning limit that reaches the newest point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.series import Floats, current

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.catalog import Limit
    from perfloop_base.thresholds import Direction


@dataclass(frozen=True, slots=True)
class Breaches:
    """Per series: whether its newest value is beyond a limit, and beyond the critical one.

    Attributes:
        value: The newest value, in the signal's unit.
        excess: How far beyond, on the scale of the limits; 0 within them.
        onset: The index where the run beyond the first limit began.
    """

    breached: NDArray[np.bool_]
    critical: NDArray[np.bool_]
    value: Floats
    excess: Floats
    onset: NDArray[np.int64]


def first_limit(limit: Limit) -> float | None:
    """Return the limit that is reached first: the warning, else the critical limit, else None."""
    return limit.critical if limit.warning is None else limit.warning


def full_scale(limit: Limit, direction: Direction) -> float:
    """Return where the excess is 1: the critical limit behind a warning, else what takes its place."""
    first = first_limit(limit) or 0.0
    if limit.critical is not None and limit.critical != first:
        return limit.critical
    return first * (2.0 if direction == "above" else 0.5) or 1.0


def find_breaches(values: Floats, limit: Limit, direction: Direction) -> Breaches:
    """Compare every series' newest value with the limit; `values` has the shape (series, points)."""
    newest = current(values)
    first = first_limit(limit)
    if first is None or not len(values):
        nothing = np.zeros(len(values), dtype=np.bool_)
        return Breaches(nothing, nothing, newest, np.zeros(len(values)), np.zeros(len(values), dtype=np.int64))
    span = full_scale(limit, direction) - first
    excess = (newest - first) / span
    breached = np.isfinite(excess) & (excess > 0)
    # A severity without a limit is not judged, however far the value is.
    worst = np.inf if limit.critical is None else (limit.critical - first) / span
    beyond = (values - first) / span > 0
    missing = np.isnan(values)
    run = run_start(beyond | missing)
    known = ~missing & (np.arange(values.shape[1]) >= run[:, None])
    onset = np.where(known.any(axis=1), np.argmax(known, axis=1), run)  # a run begins where there is data
    return Breaches(
        breached, breached & (excess >= worst), newest, np.where(breached, excess, 0.0), onset.astype(np.int64)
    )


def run_start(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the index where the run of True at the end of each row began; the last index where there is none."""
    width = flags.shape[1]
    last_false = width - 1 - np.argmax(~flags[:, ::-1], axis=1)
    return np.where(flags.all(axis=1), 0, np.minimum(last_false + 1, width - 1)).astype(np.int64)
