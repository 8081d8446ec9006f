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
    """Per series: whether it is beyond the limit, its newest value, the excess, and the index where the run began."""

    breached: NDArray[np.bool_]
    value: Floats
    excess: Floats
    onset: NDArray[np.int64]


def critical_of(limit: Limit, direction: Direction) -> float:
    """Return the critical limit, else what takes its place in the scale of the excess."""
    warning = limit.warning or 0.0
    if limit.critical is not None and limit.critical != warning:
        return limit.critical
    return warning * (2.0 if direction == "above" else 0.5) or 1.0


def find_breaches(values: Floats, limit: Limit, direction: Direction) -> Breaches:
    """Compare every series' newest value with the limit; `values` has the shape (series, points)."""
    newest = current(values)
    if limit.warning is None or not len(values):
        nothing = np.zeros(len(values), dtype=np.bool_)
        return Breaches(nothing, newest, np.zeros(len(values)), np.zeros(len(values), dtype=np.int64))
    span = critical_of(limit, direction) - limit.warning
    excess = (newest - limit.warning) / span
    breached = np.isfinite(excess) & (excess > 0)
    beyond = (values - limit.warning) / span > 0
    missing = np.isnan(values)
    run = run_start(beyond | missing)
    known = ~missing & (np.arange(values.shape[1]) >= run[:, None])
    onset = np.where(known.any(axis=1), np.argmax(known, axis=1), run)  # a run begins where there is data
    return Breaches(breached, newest, np.where(breached, excess, 0.0), onset.astype(np.int64))


def run_start(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the index where the run of True at the end of each row began; the last index where there is none."""
    width = flags.shape[1]
    last_false = width - 1 - np.argmax(~flags[:, ::-1], axis=1)
    return np.where(flags.all(axis=1), 0, np.minimum(last_false + 1, width - 1)).astype(np.int64)
