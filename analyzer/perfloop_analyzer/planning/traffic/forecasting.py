"""Forecast of requests per second, with the bounds that hold nine values of ten.

The past is transformed by log(rate + c), in which the rhythm of a day multiplies and bursts are moderate. For some
points ahead (knots, each about twice the one before) a ridge regression says how what is known now (`features`) leads
to the value then; between the knots its weights are interpolated. Bounds are quantiles of the errors that it made in
its own past, each stretch forecast by the fit without it (`ridge`, `conformal`), and are never narrower than the chance
with which requests arrive (Poisson).

Seasonal profiles and ridge regressions were ahead of foundation models in public comparisons on traffic of clouds.
`benchmarks/forecast.py` measures it beside its peers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from perfloop_analyzer.planning.figures import Bounds
from perfloop_analyzer.planning.traffic.conformal import margins, quantile
from perfloop_analyzer.planning.traffic.features import DAY_SECONDS, NEAR_SECONDS, WEEK_SECONDS, Features, Seasons
from perfloop_analyzer.planning.traffic.past import (
    LEAST_POINTS,
    Refusal,
    fill_gaps,
    first_known,
    known_rates,
    refuse_sparse,
    refuse_unknown,
)
from perfloop_analyzer.planning.traffic.ridge import FOLDS, Fit, fit
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

    Ints = NDArray[np.int64]

T = TypeVar("T")
OFFSET = 0.1  # of the mean rate: c of the transformation
KNOTS = 8
ROWS = 256  # moments of the past that a regression looks at
BEYOND = 0.2  # of the past's range, transformed: how far the middle of a forecast may leave it
PRIOR = 1.0  # independent rows that the prior of a weight counts for
LEAST_ROWS = 16
MOST_AHEAD = 4096  # points
MOST_LOG = 300.0  # of a bound: its exponential is still a number
LEAST_DAY = 8  # points of a day that has a rhythm
PASTS = 1.5  # horizons after the first season that the past must have: errors at the horizon are learned from them
NORMAL = 1.6449  # the 95 % quantile
TOGETHER = 64  # series, so that the arrays stay small
PEAK_MOMENTS = 48  # of the past, whose peaks are compared with what would have been forecast


@dataclass(frozen=True, slots=True)
class Forecast:
    """Requests per second after a moment.

    Attributes:
        start: The moment, in Unix seconds; the first value is one step after it.
        step: Seconds between two values, each of which is the mean rate over the step that it ends.
        expected: Shape (points,); half of the values are expected to be above it.
        lower: The bound that one value of twenty is below.
        upper: The bound that one value of twenty is above.
    """

    start: float
    step: float
    expected: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast, and its highest rate: what a service has to carry within the horizon."""

    path: Forecast
    peak: Bounds


def forecast(history: Floats, step: float, at: float, horizon_seconds: float) -> Forecast | Refusal:
    """Forecast one series; see `forecast_all`.

    Args:
        history: Requests per second, shape (points,), the newest last, at the moment `at`; NaN where not known.
        step: Seconds between two points.
        at: In Unix seconds.
        horizon_seconds: How far ahead.
    """
    return forecast_all(np.asarray(history, dtype=np.float64)[None, :], step, at, horizon_seconds)[0]


def forecast_all(histories: Floats, step: float, at: float, horizon_seconds: float) -> list[Forecast | Refusal]:
    """Forecast every series, or say why not.

    Args:
        histories: Requests per second, shape (series, points); see `forecast`.
        step: Seconds between two points.
        at: The moment of the newest point, in Unix seconds.
        horizon_seconds: How far ahead, rounded up to whole steps.

    Raises:
        ValueError: The step or the horizon is no length of time, or the horizon has more than MOST_AHEAD steps.
    """

    def answer(group: _Group, _: Ints) -> list[Forecast]:
        return group.paths(at)

    return _answer_all(np.asarray(histories, dtype=np.float64), step, horizon_seconds, answer)


def forecast_peaks(
    histories: Floats, steps: tuple[float, int], at: float, horizon_seconds: float
) -> list[Outlook | Refusal]:
    """Forecast every series and the highest of its values within the horizon, or say why not.

    Args:
        histories: Requests per second, shape (series, points); see `forecast`. The newest point is a whole step's last.
        steps: Seconds between two points, and how many of them the forecast takes for one: peaks remain those of single
            points.
        at: The moment of the newest point, in Unix seconds.
        horizon_seconds: How far ahead.

    Raises:
        ValueError: As of `forecast_all`.
    """
    short, several = steps
    rates = known_rates(np.asarray(histories, dtype=np.float64))
    rates = rates[:, rates.shape[1] % several :].reshape(len(rates), -1, several)
    known = np.isfinite(rates).sum(axis=2)
    means = np.nansum(rates, axis=2) / np.where(known >= several / 2, known, np.nan)
    peaks = np.where(np.isfinite(rates), rates, 0.0).max(axis=2)

    def answer(group: _Group, rows: Ints) -> list[Outlook]:
        return group.outlooks(at, peaks[rows, -group.points :], short)

    return _answer_all(means, short * several, horizon_seconds, answer)


def _answer_all(
    histories: Floats, step: float, horizon_seconds: float, answer: Callable[[_Group, Ints], list[T]]
) -> list[T | Refusal]:
    ahead = points_ahead(step, horizon_seconds)
    rates = known_rates(histories)
    answers: list[T | Refusal | None] = [None] * len(rates)
    groups: dict[int, list[int]] = {}
    for row, series in enumerate(rates):
        begin = first_known(series)
        refused = refuse_unknown(histories[row], series, step) or _refuse_short(len(series) - begin, step, ahead)
        answers[row] = refused or refuse_sparse(series, step)
        if answers[row] is None:
            groups.setdefault(begin, []).append(row)
    for begin, rows in groups.items():
        for some in np.split(np.array(rows), range(TOGETHER, len(rows), TOGETHER)):
            for row, found in zip(some, answer(_Group(rates[some, begin:], step, ahead), some), strict=True):
                answers[row] = found
    return [one for one in answers if one is not None]


def points_ahead(step: float, horizon_seconds: float) -> int:
    """Return the steps of a horizon, rounded up.

    Raises:
        ValueError: They are none, or too many.
    """
    if not (0 < step < np.inf and 0 < horizon_seconds < np.inf):
        raise ValueError(f"a horizon of {horizon_seconds} s in steps of {step} s is none: both must be longer than 0")
    ahead = int(np.ceil(horizon_seconds / step - 1e-9))
    if ahead > MOST_AHEAD:
        raise ValueError(
            f"a horizon of {horizon_seconds:g} s has {ahead} steps of {step:g} s: {MOST_AHEAD} are the most"
        )
    return ahead


def seasons_of(points: int, step: float, ahead: int) -> Seasons | None:
    """Return what a past of so many points shows of days and weeks; None where it is too short for the horizon."""
    day, week, near = (round(seconds / step) for seconds in (DAY_SECONDS, WEEK_SECONDS, NEAR_SECONDS))
    after = max(LEAST_ROWS, round(PASTS * ahead))
    if day >= LEAST_DAY and points >= week + near + max(after, ahead + day):
        return Seasons(day, week, near)
    if day >= LEAST_DAY and points >= day + near + after:
        return Seasons(day, 0, near)
    is_long = points >= 2 + after and points >= 3 * ahead
    return Seasons(0, 0, 0) if is_long and ahead * step < DAY_SECONDS else None


def _refuse_short(points: int, step: float, ahead: int) -> Refusal | None:
    if seasons_of(points, step, ahead) is not None:
        return None
    least = 3 * ahead if ahead * step < DAY_SECONDS else round(DAY_SECONDS / step + PASTS * ahead) + 1
    needed = max(least, LEAST_POINTS + 2) * step
    return Refusal(
        f"no forecast: the past has {span(points * step)}, and {span(ahead * step)} ahead take {span(needed)} at least"
    )


def _not_too_close(lower: Floats, expected: Floats, upper: Floats, step: float) -> tuple[Floats, Floats, Floats]:
    """Return bounds that are no closer than the chance with which requests arrive within a step."""
    chance = NORMAL * np.sqrt(np.maximum(expected * step, 1.0)) / step
    return np.maximum(np.minimum(lower, expected - chance), 0.0), expected, np.maximum(upper, expected + chance)


class _Group:
    """Series that began at the same point."""

    def __init__(self, rates: Floats, step: float, ahead: int) -> None:
        seasons = seasons_of(rates.shape[1], step, ahead)
        if seasons is None:
            raise ValueError("the past is too short")
        self._step, self._ahead, self._first = step, ahead, seasons.first
        self._offset = np.maximum(OFFSET * np.nanmean(rates, axis=1, keepdims=True), 1e-12)
        self._known = np.isfinite(rates)
        self._values = np.log(fill_gaps(rates) + self._offset)
        lowest, highest = self._values.min(axis=1), self._values.max(axis=1)
        beyond = BEYOND * (highest - lowest)
        self._range = (lowest - beyond)[:, None, None], (highest + beyond)[:, None, None]
        self._features = Features(self._values, seasons, ahead)
        self._knots = np.unique(np.geomspace(1, ahead, KNOTS).round().astype(np.int64))
        self._available = rates.shape[1] - self._knots - self._first

    @property
    def points(self) -> int:
        """How long the series are."""
        return int(self._values.shape[1])

    def paths(self, at: float) -> list[Forecast]:
        """Return the forecast of each series."""
        return self._paths(self._fit(), at)

    def outlooks(self, at: float, peaks: Floats, step: float) -> list[Outlook]:
        """Return the forecast of each series with its peak.

        Args:
            at: The newest moment, in Unix seconds.
            peaks: The highest rate within each point, shape (series, points).
            step: Seconds over which those rates are means.
        """
        fitted = self._fit()
        errors = self._peak_errors(fitted, np.log(peaks + self._offset))
        usual = quantile(errors, 0.5)
        low, high = margins(errors - usual[:, None], np.asarray(self._available[-1] / self._ahead))
        now = np.full((1, 1), self.points - 1)
        middle = self._middle(now, fitted.weights)[:, :, 0].max(axis=1) + usual
        lower, expected, upper = (self._rates(one[:, None])[:, 0] for one in (middle + low, middle, middle + high))
        three = np.stack(_not_too_close(lower, expected, upper, step), axis=1)
        bounds = [Bounds(*(float(value) for value in row)) for row in three]
        return [Outlook(path, peak) for path, peak in zip(self._paths(fitted, at), bounds, strict=True)]

    def _paths(self, fitted: Fit, at: float) -> list[Forecast]:
        middle = self._middle(np.full((1, 1), self.points - 1), fitted.weights)[:, :, 0]
        low, high = margins(fitted.residuals, self._available / self._knots)
        low, high = (self._between(edge[:, :, None])[:, :, 0] for edge in (low, high))
        lower, expected, upper = (self._rates(one) for one in (middle + low, middle, middle + high))
        lower, expected, upper = _not_too_close(lower, expected, upper, self._step)
        return [Forecast(at, self._step, *three) for three in zip(expected, lower, upper, strict=True)]

    def _middle(self, moments: Ints, weights: Floats) -> Floats:
        """Return the transformed forecast of every point ahead, shape (series, ahead, moments).

        Args:
            moments: Points of the past, shape (1, moments).
            weights: Shape (series, knots, features).
        """
        every = np.broadcast_to(moments, (self._ahead, moments.shape[1]))
        base, features = self._features.at(every, np.arange(1, self._ahead + 1))
        weighted = features @ self._between(weights)[..., None]
        return np.clip(base + weighted[..., 0], *self._range)

    def _peak_errors(self, fitted: Fit, peaks: Floats) -> Floats:
        """Return by how much past peaks were above those of the path, each by the fit without its stretch."""
        last = self.points - 1 - self._ahead
        count = max(min(PEAK_MOMENTS, last - self._first + 1) // FOLDS, 1)
        moments = np.linspace(self._first, last, FOLDS * count).round().astype(np.int64).reshape(FOLDS, count)
        errors = []
        for fold, own in enumerate(moments):
            path = self._middle(own[None, :], fitted.without[:, :, fold]).max(axis=1)
            actual = peaks[:, own[None, :] + np.arange(1, self._ahead + 1)[:, None]].max(axis=1)
            errors.append(actual - path)
        return np.concatenate(errors, axis=1)

    def _fit(self) -> Fit:
        rows = min(ROWS, int(self._available.max())) // FOLDS * FOLDS
        moments = self._first + np.linspace(0, self._available - 1, rows).round().astype(np.int64).T
        base, features = self._features.at(moments, self._knots)
        places = moments + self._knots[:, None]
        targets = np.where(self._known[:, places], self._values[:, places] - base, np.nan)
        # Rows that are nearer to each other than the horizon are alike in what is known of their moments.
        alike = np.where(self._features.of_moment(), self._knots[:, None], 1.0)
        prior = PRIOR * rows * np.minimum(alike / self._available[:, None], 1.0)
        return fit(features, targets, prior, self._features.rules())

    def _between(self, values: Floats) -> Floats:
        """Return what is known at the knots for every point ahead: (series, knots, n) to (series, ahead, n)."""
        if len(self._knots) == 1:
            return values.repeat(self._ahead, axis=1)
        place = np.interp(np.log(np.arange(1, self._ahead + 1)), np.log(self._knots), np.arange(len(self._knots)))
        left = np.minimum(place.astype(np.int64), len(self._knots) - 2)
        share = (place - left)[None, :, None]
        return np.asarray(values[:, left] * (1 - share) + values[:, left + 1] * share, dtype=np.float64)

    def _rates(self, values: Floats) -> Floats:
        return np.asarray(np.maximum(np.exp(np.minimum(values, MOST_LOG)) - self._offset, 0.0), dtype=np.float64)
