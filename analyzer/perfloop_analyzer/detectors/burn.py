"""SLO burn: how many times too fast the error budget is spent, seen over a long and a short window at once.

The windows and factors are perfloop_base.burn_rates'. At little traffic one error is no burn: a window needs
`MIN_EVENTS` events. A long window that holds hardly more events than the short one is not full yet (the service is
young) and confirms nothing.
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
LONGER = 1.05


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


def find_burns(long: Floats, short: Floats, events: Events, row: BurnRate, objective: float) -> NDArray[np.bool_]:
    """Return which series burn too fast in both windows on enough events."""
    most = row.factor * objective
    with np.errstate(invalid="ignore"):
        return (long > most) & (short > most) & events.enough()


def seconds_to_exhaustion(remaining_share: Floats, burn: Floats) -> Floats:
    """Return when the budget is gone at this rate; infinite when it is not being spent."""
    with np.errstate(divide="ignore"):
        return np.where(burn > 0, remaining_share * PERIOD_SECONDS / burn, np.inf)
