"""SLO burn: how many times too fast the error budget is spent, seen over a long and a short window at once.

Google, "The Site Reliability Workbook" (2018), chapter 5: alert when both the long and the short window burn faster
than a factor, factor = budget share x period / long window. The long window keeps a blip from alerting, the short one
makes it stop soon after the fault. At little traffic one error is no burn: a window needs `MIN_EVENTS` events. A long
window that holds hardly more events than the short one is not full yet (the service is young) and confirms nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

PERIOD_SECONDS = 30 * 86_400.0
MIN_EVENTS = 10.0
LONGER = 1.05


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One row of the workbook's table."""

    long: str
    short: str
    factor: float
    critical: bool


# The workbook's table 5-8 for a period of 30 days: 2 % in 1 h, 5 % in 6 h page; 10 % in 1 d, 10 % in 3 d make a ticket.
WINDOWS = (
    BurnWindow("1h", "5m", 14.4, critical=True),
    BurnWindow("6h", "30m", 6.0, critical=True),
    BurnWindow("1d", "2h", 3.0, critical=False),
    BurnWindow("3d", "6h", 1.0, critical=False),
)


def burn_rate(error_ratio: Floats, objective: float) -> Floats:
    """Return how many times faster than allowed the budget is spent; `objective` is the error ratio that is allowed."""
    return error_ratio / objective


@dataclass(frozen=True, slots=True)
class Events:
    """How many events the long and the short window hold, per series; NaN = not known."""

    long: Floats
    short: Floats

    def enough(self) -> NDArray[np.bool_]:
        """Return where the long window may be judged."""
        return (self.long >= MIN_EVENTS) & ~(self.long < LONGER * self.short)


def find_burns(long: Floats, short: Floats, events: Events, window: BurnWindow, objective: float) -> NDArray[np.bool_]:
    """Return which series burn too fast in both windows on enough events."""
    most = window.factor * objective
    with np.errstate(invalid="ignore"):
        return (long > most) & (short > most) & events.enough()


def seconds_to_exhaustion(remaining_share: Floats, burn: Floats) -> Floats:
    """Return when the budget is gone at this rate; infinite when it is not being spent."""
    with np.errstate(divide="ignore"):
        return np.where(burn > 0, remaining_share * PERIOD_SECONDS / burn, np.inf)
