"""Forecast: in how many seconds a series first reaches a limit, with both bounds, or no answer.

The answer is about the series itself, not about a line through it: the first moment at which a value is at the limit or
beyond, which is when a disk is full, whatever rotates an hour later. What recurs (a day, a rotation) is taken out and
continued; the rest is what `growth` says: a weighted set of shapes and noises. DRAWS futures are drawn from it, each
from a model by its weight, with coefficients from their posterior and innovations from the series' own, so that jumps
stay jumps. `seconds` is the median of their first crossings, `soonest` and `latest` are their 5 and 95 % quantiles.

There is an answer only when the growth is not by chance, its peaks rise too, the series is at half of the limit or
more, and the moment is within MOST_HISTORIES of the history that it is read from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.bridging import bridge_gaps, since_last_drop
from perfloop_analyzer.detectors.growth import draw_futures, likeliest, weigh
from perfloop_analyzer.detectors.growth_shapes import YOUNGEST
from perfloop_analyzer.detectors.recurrence import DAY_SECONDS, LEAST_CYCLES, find_recurrence
from perfloop_analyzer.detectors.robust import quiet_nanmedian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.detectors.growth import Posterior
    from perfloop_analyzer.detectors.recurrence import Recurrence
    from perfloop_analyzer.series import Floats

MOST_HISTORIES = 3.0
LEAST_FILL = 0.5
LEAST_POINTS = 2 * YOUNGEST
BY_CHANCE = 1e-3  # the largest probability that it does not grow
PEAKS = 0.25  # of the growth since the middle of the history, which the highest value must have gained
STEEPEST = 8.0  # times the rise of a span that may follow it: a series that gathers speed is not refused unseen
ROUNDED = 1e-3  # of the smallest step: so close to whole steps are rounded values
DRAWS = 400
SOONEST, LATEST = 0.05, 0.95
NEARLY_ALL = 0.98  # of the futures that must have reached the limit before the rest is called later
LOOKAHEADS = (0.25, 1.0, MOST_HISTORIES)  # of the history: what is reached soon needs no long future


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Per series, NaN where there is no answer.

    Attributes:
        seconds: Until the limit, expected.
        soonest: Its lower bound.
        latest: Its upper bound; infinite: maybe never.
        level: The growth's level now.
        before: The growth's level at the begin of the history that it was read from.
        p_value: The probability that it does not grow.
    """

    seconds: Floats
    soonest: Floats
    latest: Floats
    level: Floats
    before: Floats
    p_value: Floats

    def only(self, row: int) -> Forecasts:
        """Return the forecast of one series."""
        names = ("seconds", "soonest", "latest", "level", "before", "p_value")
        return Forecasts(*(getattr(self, name)[row : row + 1] for name in names))


def forecast_limit(values: Floats, step: float, limit: float, by_chance: Floats | float = BY_CHANCE) -> Forecasts:
    """Forecast every series that grows towards a limit above it.

    Args:
        values: Shape (series, points), the newest last; NaN where there is no value.
        step: Seconds between two points.
        limit: In the signal's unit.
        by_chance: The largest probability that it does not grow, at which there is an answer; one for all or for each.
    """
    levels = np.broadcast_to(np.asarray(by_chance, dtype=np.float64), len(values))
    outcome = np.full((6, len(values)), np.nan)
    for row in np.flatnonzero(may_reach(values, limit)):
        answer = _forecast(values[row], step, limit, float(levels[row]))
        if answer is not None:
            outcome[:, row] = answer
    return Forecasts(*outcome)


def may_reach(values: Floats, limit: float) -> NDArray[np.bool_]:
    """Return which series are full enough and rose enough, over some span, for a look at what they do.

    Shape (series,). It is a necessary condition, at a hundredth of the look's cost.
    """
    width = values.shape[1]
    if width < LEAST_POINTS:
        return np.zeros(len(values), dtype=bool)
    near = max(3, width // 32)
    level = quiet_nanmedian(values[:, -near:])
    known = np.isfinite(values).sum(axis=1)
    full = (known >= LEAST_POINTS) & (level >= LEAST_FILL * limit) & (level < limit)
    rise = np.zeros(len(values))
    for span in (width - near // 2, width // 2, width // 4, width // 8, 2 * near):
        earlier = quiet_nanmedian(values[:, max(0, width - span - near) : max(near, width - span)])
        rise = np.fmax(rise, level - earlier)
    began = width - np.argmax(np.isfinite(values), axis=1)
    rise = np.where(began < width, np.fmax(rise, level - np.nanmin(np.where(full[:, None], values, 0.0), axis=1)), rise)
    return np.asarray(full & (STEEPEST * rise >= limit - level), dtype=bool)


def _forecast(row: Floats, step: float, limit: float, by_chance: float) -> tuple[float, ...] | None:
    series = bridge_gaps(since_last_drop(row))
    if len(series) < LEAST_POINTS or series[-1] >= limit:
        return None
    season = find_recurrence(series, step)
    day = DAY_SECONDS / step if len(series) * step < LEAST_CYCLES * DAY_SECONDS else 0.0
    posterior = weigh(series - season.over(0, len(series)), day)
    if season.period:
        # Once more, knowing the growth: a bend within the newest period is no part of what recurs.
        season = season.again(series - likeliest(posterior))
        posterior = weigh(series - season.over(0, len(series)), day)
    growth = likeliest(posterior)
    if growth[-1] < LEAST_FILL * limit or posterior.not_rising > by_chance or not _peaks_rise(series, growth):
        return None
    crossings = _first_crossings(series, posterior, season, limit)
    soonest, expected, latest = np.quantile(crossings, (SOONEST, 0.5, LATEST), method="inverted_cdf") * step
    if not np.isfinite(expected):
        return None
    return expected, soonest, latest, growth[-1], growth[0], posterior.not_rising


def _peaks_rise(series: Floats, growth: Floats) -> bool:
    """Return whether the highest values rise with the growth: what always turns back at one height does not fill."""
    middle = len(series) // 2
    gained = float(series[middle:].max() - series[:middle].max())
    return gained >= PEAKS * float(growth[-1] - growth[middle])


def _first_crossings(series: Floats, posterior: Posterior, season: Recurrence, limit: float) -> Floats:
    """Return for each of DRAWS futures the points until the limit; infinite where it is not reached."""
    calm = series - season.over(0, len(series))
    quantum = _quantum(series)
    if quantum:
        # A rounded value is at the limit as soon as the true one is within half a quantum of its last level.
        limit = np.ceil(limit / quantum - 1e-6) * quantum - quantum / 2
    crossings = np.full(DRAWS, np.inf)
    for share in LOOKAHEADS:
        ahead = round(share * len(calm))
        headroom = limit - season.over(len(calm), ahead)
        futures = draw_futures(calm, posterior, ahead, DRAWS, quantum)
        found = []
        for paths in futures:
            reached = paths >= headroom[:, None]
            found.append(np.where(reached.any(axis=0), np.argmax(reached, axis=0) + 1.0, np.inf))
        crossings = np.concatenate(found)
        if np.isfinite(crossings).mean() >= NEARLY_ALL:
            break
    return crossings


def _quantum(series: Floats) -> float:
    """Return the step in which a series is rounded; 0 where it is not, or too finely to matter."""
    steps = np.diff(np.unique(series.round(9)))
    if not len(steps) or len(steps) >= len(series) / 4:
        return 0.0
    shares = steps / steps.min()
    return float(steps.min()) if np.abs(shares - shares.round()).max() < ROUNDED else 0.0
