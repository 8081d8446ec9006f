"""SLO burn rate: how many times faster than allowed the error budget is spent, over a long and a short window.

Windows and factors are those of perfloop_base.burn_rates. At little traffic a single error proves nothing: a window
needs MIN_EVENTS events. A long window with hardly more events than the short one is not full yet, because the service
is new, and confirms nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_base.burn_rates import PERIOD_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats
    from perfloop_base.burn_rates import BurnRate

MIN_EVENTS = 10.0
LONGER = 1.05  # times the events of the short window


def burn_rate(error_ratio: Floats, objective: float) -> Floats:
    """Return error ratio / allowed error ratio, per series; 1 spends the budget exactly within the period."""
    return error_ratio / objective


@dataclass(frozen=True, slots=True)
class Events:
    """How many events are in the long and in the short window, per series; NaN where unknown."""

    long: Floats
    short: Floats

    def enough(self) -> NDArray[np.bool_]:
        """Return which series have enough events in a long window that is full."""
        return (self.long >= MIN_EVENTS) & ~(self.long < LONGER * self.short)


def find_burns(long: Floats, short: Floats, events: Events, row: BurnRate, objective: float) -> NDArray[np.bool_]:
    """Return which series burn too fast in both windows, with enough events.

    Args:
        long: Error ratios over the long window, per series.
        short: The same over the short window.
        events: The number of events in both windows.
        row: The windows and the factor.
        objective: The allowed error ratio.
    """
    most = row.factor * objective
    with np.errstate(invalid="ignore"):
        return (long > most) & (short > most) & events.enough()


def seconds_to_exhaustion(remaining_share: Floats, burn: Floats) -> Floats:
    """Return the seconds until the budget of 30 days is used up at this burn rate; infinite when it is not spent."""
    with np.errstate(divide="ignore"):
        return np.where(burn > 0, remaining_share * PERIOD_SECONDS / burn, np.inf)
