"""Threshold and saturation: how far a signal stands beyond its limit, and since when.

Idea: a limit is the one thing a person already knows about a signal. The excess is measured on a scale on which 0 is
the warning limit and 1 the critical one, e = (v - warning) / (critical - warning), in the direction that hurts, so
that signals of any unit compare; without a critical limit it lies at twice the warning (half of it below). The onset
is the start of the unbroken run of points beyond the warning limit that reaches the newest point (B. Gregg, "The USE
method", 2013, for the reading of saturation).
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
    """Per series: whether it stands beyond the limit, its newest value, the excess, and the run's first index."""

    breached: NDArray[np.bool_]
    value: Floats
    excess: Floats
    onset: NDArray[np.int64]


def critical_of(limit: Limit, direction: Direction) -> float:
    """Return the critical limit, or where it would lie."""
    warning = limit.warning or 0.0
    if limit.critical is not None and limit.critical != warning:
        return limit.critical
    return warning * (2.0 if direction == "above" else 0.5) or 1.0


def find_breaches(values: Floats, limit: Limit, direction: Direction) -> Breaches:
    """Compare every series' newest value with the limit."""
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
    """Return where the run of True that ends each row began."""
    width = flags.shape[1]
    last_false = width - 1 - np.argmax(~flags[:, ::-1], axis=1)
    return np.where(flags.all(axis=1), 0, np.minimum(last_false + 1, width - 1)).astype(np.int64)
