"""SLO burn rate: how many times faster than allowed the error budget is spent, over a long and a short window.

Windows and factors are those of perfloop_base.burn_rates. At little traffic a single error proves nothing: a window
needs MIN_EVENTS events. A long window with hardly more events than the short one is not full yet, because the service
is new, and confirms nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from perfloop_base.burn_rates import PERIOD_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats
    from perfloop_base.burn_rates import BurnRate

MIN_EVENTS = 10.0
LONGER = 1.05  # times the events of the short window
LOWER, UPPER = 0.05, 0.95


def burn_rate(error_ratio: Floats, objective: Floats | float) -> Floats:
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
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(burn > 0, remaining_share * PERIOD_SECONDS / burn, np.inf)


@dataclass(frozen=True, slots=True)
class Spending:
    """What is known of error budgets, each of shape (budgets,); NaN where unknown.

    Attributes:
        left: The share of the period's budget that is left; below 0 more than all of it is spent.
        ratio: The share of bad events over the newest window.
        events: How many events are in that window.
        allowed: The share of bad events that the objective allows.
    """

    left: Floats
    ratio: Floats
    events: Floats
    allowed: Floats


def until_spent(spending: Spending) -> tuple[Floats, Floats, Floats]:
    """Return the seconds until each budget is used up at the present burn: expected, lower and upper.

    0 where nothing is left; infinite where no event is bad, or where it lasts for a period, after which all that was
    spent before is forgotten; NaN where the burn is not known, or read from fewer than MIN_EVENTS events. The bounds
    are of the burn: the true share of bad events is within Jeffreys' interval of 90 % (L. Brown, T. Cai, A. DasGupta,
    Statistical Science 16, 2001). For the upper one, what was spent before leaves the period evenly meanwhile.
    """
    known = np.isfinite(spending.left) & (spending.ratio >= 0) & (spending.ratio <= 1 + 1e-6)
    known &= (spending.events >= MIN_EVENTS) & (spending.allowed > 0)
    left, ratio, events, allowed = (
        np.where(known, one, np.nan) for one in (spending.left, spending.ratio, spending.events, spending.allowed)
    )
    ratio = np.minimum(ratio, 1.0)
    bad = ratio * events
    low, high = (betaincinv(bad + 0.5, events - bad + 0.5, share) for share in (LOWER, UPPER))
    # Without a bad event nothing burns at present; with nothing but bad ones the share may be all.
    high = np.where(bad > 0, np.where(bad < events, high, ratio), 0.0 * bad)
    low = np.where(bad > 0, low, 0.0 * bad)
    lasts = [
        _lasting(left, burn_rate(ratio, allowed)),
        _lasting(left, burn_rate(high, allowed)),
        _lasting(left, burn_rate(low, allowed) - (1.0 - left)),
    ]
    return lasts[0], np.minimum(lasts[1], lasts[0]), np.maximum(lasts[2], lasts[0])


def _lasting(left: Floats, burn: Floats) -> Floats:
    seconds = seconds_to_exhaustion(left, np.maximum(burn, 0.0))
    lasting = np.where(seconds > PERIOD_SECONDS, np.inf, seconds)
    return np.where(np.isnan(left) | np.isnan(burn), np.nan, np.where(left <= 0, 0.0, lasting))
