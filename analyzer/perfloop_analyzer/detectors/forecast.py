"""Forecast: in how many seconds a limit is reached, with both bounds, or no answer.

(limit - fit) / slope, for the Theil-Sen slope and both ends of its confidence interval. Extrapolated lines are mostly
wrong, so there is an answer only when the trend is significant, the fit is at half of the limit or more, and the moment
is within twice the history that the line was fitted to: four days ahead from one hour would be a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.detectors.trend import Trends
    from perfloop_analyzer.series import Floats

MOST_HISTORIES = 2.0
LEAST_FILL = 0.5


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Per series, seconds until the limit: expected, soonest, latest. NaN: no answer; infinite latest: maybe never."""

    seconds: Floats
    soonest: Floats
    latest: Floats


def forecast_limit(trends: Trends, limit: float, history_seconds: Floats | float, p_most: float = 1e-3) -> Forecasts:
    """Forecast every series whose trend is significant and leads up to the limit.

    Args:
        trends: As `trend.find_trends` returns them.
        limit: In the signal's unit.
        history_seconds: How much history each trend was fitted to.
        p_most: The largest p-value of a trend that is extrapolated.
    """
    left = limit - trends.fit
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = left / trends.slope
        soonest = left / trends.high
        latest = np.where(trends.low > 0, left / trends.low, np.inf)
        fill = trends.fit / limit
    trusted = (trends.p_value <= p_most) & (trends.slope > 0) & (left > 0) & (fill >= LEAST_FILL)
    trusted &= seconds <= MOST_HISTORIES * history_seconds
    return Forecasts(*(np.where(trusted, one, np.nan) for one in (seconds, soonest, latest)))
