"""What a forecast looks at: the same time of earlier days and weeks, and how far the recent past is from them.

All in the transformed scale of `forecasting`. The forecast of `ahead` points after a moment is a base (the mean of the
same time on the last days, and of the last weeks, by how well each has done) plus a weighted sum of features, which are
0 where the past says nothing beyond the base. A past that is too short for days has the recent level as its base.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

    Ints = NDArray[np.int64]

DAY_SECONDS, WEEK_SECONDS = 86_400.0, 604_800.0
DAYS, WEEKS = 7, 3  # whose mean is the usual value of a time of day, of a time of the week
TRIMMED = 4  # values from which on the highest and the lowest do not count
MOST = 1e9  # transformed values are far within
SPANS = (1, 3, 12, 48)  # points over which the recent level is read, besides a day
MIDDLE = 2  # the place of the span that is the level of a past without days
NEAR_SECONDS = 900.0  # on both sides of a moment count as the same time


def trailing_mean(values: Floats, span: int) -> Floats:
    """Return the mean of the newest `span` values up to each point, shape (series, points)."""
    total = np.cumsum(values, axis=1)
    mean = np.empty_like(total)
    mean[:, span:] = (total[:, span:] - total[:, :-span]) / span
    mean[:, :span] = total[:, :span] / np.arange(1, min(span, values.shape[1]) + 1)
    return mean


def centred_mean(values: Floats, reach: int) -> Floats:
    """Return the mean over `reach` points on both sides; at the ends of those that there are."""
    if not reach:
        return values
    width = values.shape[1]
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.arange(width)
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, width)
    return np.asarray((total[:, high] - total[:, low]) / (high - low), dtype=np.float64)


def same_time(values: Floats, period: int, lags: tuple[int, int], ahead: int) -> Floats:
    """Return the mean of the values `lags[0]` to `lags[1]` periods before each point, as many as there are.

    From TRIMMED values on the highest and the lowest do not count: a burst is no rhythm. The shape is (series, points +
    ahead); NaN where there is none.
    """
    series, points = values.shape
    rows = -(-(points + ahead) // period)
    padded = np.zeros((series, rows * period))
    padded[:, :points] = values
    folded = padded.reshape(series, rows, period)
    total = np.zeros_like(folded)
    highest, lowest = np.full_like(folded, -MOST), np.full_like(folded, MOST)
    for lag in range(lags[0], min(lags[1], rows - 1) + 1):
        # Row r holds the points of period r: those of `lag` periods before are in row r - lag.
        earlier = folded[:, : rows - lag]
        total[:, lag:] += earlier
        np.maximum(highest[:, lag:], earlier, out=highest[:, lag:])
        np.minimum(lowest[:, lag:], earlier, out=lowest[:, lag:])
    count = np.clip(np.arange(rows) - lags[0] + 1, 0, lags[1] - lags[0] + 1)[:, None]
    many = count >= TRIMMED
    rest = total - np.where(many, highest + lowest, 0.0)
    mean = rest / np.where(count > 0, count - 2 * many, np.nan)
    return np.asarray(mean.reshape(series, rows * period)[:, : points + ahead], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Seasons:
    """Points of a day and of a week, 0 where the past is too short to know them, and of what is the same time."""

    day: int
    week: int
    near: int

    @property
    def first(self) -> int:
        """The first point at which everything is known."""
        return max(self.day, self.week) + self.near if self.day else 2

    def days_back(self, ahead: Ints) -> Ints:
        """Return how many days before a point, `ahead` points in the future, the past ends."""
        return -(-(ahead + self.near) // self.day) if self.day else np.zeros_like(ahead)


class Features:
    """The features of series without gaps, shape (series, points), at any past moment and so many points ahead."""

    def __init__(self, values: Floats, seasons: Seasons, ahead: int) -> None:
        self._values, self._seasons, self._ahead = values, seasons, ahead
        self._smooth = centred_mean(values, seasons.near)
        self._by_days: dict[int, tuple[Floats, Floats]] = {}
        self._trust: Floats = np.zeros((len(values), 1))
        if seasons.week:
            self._trust = self._trust_in_weeks()
        self._level, self._recent = self._read_recent()

    @property
    def count(self) -> int:
        """How many features there are."""
        return int(self._recent.shape[2]) + (self._seasonal_count + 2 if self._seasons.day else 1)

    @property
    def _seasonal_count(self) -> int:
        return 3 if self._seasons.week else 1

    def of_moment(self) -> NDArray[np.bool_]:
        """Return which features stay the same for all points ahead of a moment, shape (features,)."""
        found = np.zeros(self.count, dtype=np.bool_)
        found[: self._recent.shape[2] + 1] = True
        return found

    def rules(self) -> Floats:
        """Return plain rules as weights, shape (rules, features).

        The base; the base moved as the last day was; the base moved as the last point was; the recent level; yesterday
        and last week. Without days: the recent level, the last point, the level of a longer past, that of all of it.
        """
        recent = self._recent.shape[2]
        if not self._seasons.day:
            found = np.zeros((4, self.count))
            middle = min(recent - 2, MIDDLE)
            found[1, 1 : 1 + middle] = 1.0
            found[2:, 1 + middle : recent - 1] = -1.0
            found[3, recent - 1] = 1.0
            return found
        found = np.zeros((4 + self._seasonal_count, self.count))
        found[1, recent - 1] = 1.0
        found[2, 1:recent] = 1.0
        found[3, -1] = 1.0
        found[4:, recent + 1 : -1] = np.eye(self._seasonal_count)
        return found

    def at(self, moments: Ints, ahead: Ints) -> tuple[Floats, Floats]:
        """Return the bases, shape (series, horizons, rows), and the features, with one more axis.

        Args:
            moments: Points of the past, shape (horizons, rows).
            ahead: Points that each horizon lies after its moments, shape (horizons,).
        """
        series, recent = len(self._values), self._recent.shape[2]
        features = np.empty((series, *moments.shape, self.count))
        features[..., 0] = 1.0
        features[..., 1 : recent + 1] = self._recent[:, moments]
        if not self._seasons.day:
            return np.asarray(self._level[:, moments]), features
        base = np.empty((series, *moments.shape))
        days = self._seasons.days_back(ahead)
        for back in np.unique(days):
            own = days == back
            places = moments[own] + ahead[own, None]
            usual, seasonal = self._seasonal(int(back))
            base[:, own] = usual[:, places]
            features[:, own, :, recent + 1 : -1] = seasonal[:, places]
        features[..., -1] = self._level[:, moments] - base
        return base, features

    def _read_recent(self) -> tuple[Floats, Floats]:
        """Return the recent level and how the past until each moment differs from the base, by ever longer spans."""
        values, day = self._values, self._seasons.day
        longest = day or values.shape[1] // 4
        spans = [*(span for span in SPANS if span < longest), longest] if longest > 1 else [1]
        base = np.zeros_like(values)
        if day:
            usual = self._seasonal(int(self._seasons.days_back(np.zeros(1, dtype=np.int64))[0]) or 1)[0]
            base = usual[:, : values.shape[1]]
            base = np.where(np.isfinite(base), base, values)
        means = [trailing_mean(values - base, span) for span in spans]
        steps = [shorter - longer for shorter, longer in itertools.pairwise(means)]
        middle = min(len(spans) - 1, MIDDLE)
        lag = spans[middle]
        momentum = means[middle] - np.concatenate([means[middle][:, :1].repeat(lag, 1), means[middle][:, :-lag]], 1)
        last = means[-1] if day else trailing_mean(values, values.shape[1]) - means[-1]
        level = trailing_mean(values, spans[min(len(spans) - 1, 3)]) if day else means[middle]
        return level, np.stack([*steps, last, momentum], axis=2)

    def _seasonal(self, back: int) -> tuple[Floats, Floats]:
        """Return the base, and the features that depend on the point ahead, for a past that ends `back` days before."""
        if back not in self._by_days:
            seasons = self._seasons
            usual = same_time(self._smooth, seasons.day, (back, back + DAYS - 1), self._ahead)
            yesterday = same_time(self._smooth, seasons.day, (back, back), self._ahead)
            if not seasons.week:
                self._by_days[back] = usual, (yesterday - usual)[..., None]
                return self._by_days[back]
            weekly, last_week = self._weekly(back)
            base = np.where(np.isfinite(weekly), usual + self._trust * (weekly - usual), usual)
            self._by_days[back] = base, np.stack([yesterday - usual, weekly - usual, last_week - weekly], axis=2)
        return self._by_days[back]

    def _weekly(self, back: int) -> tuple[Floats, Floats]:
        week = self._seasons.week
        weeks = -(-back * self._seasons.day // week)
        weekly = same_time(self._smooth, week, (weeks, weeks + WEEKS - 1), self._ahead)
        return weekly, same_time(self._smooth, week, (weeks, weeks), self._ahead)

    def _trust_in_weeks(self) -> Floats:
        """Return the share of the weeks' mean in the base, by the squared errors that both means have made."""
        usual = same_time(self._smooth, self._seasons.day, (1, DAYS), 0)
        weekly = self._weekly(1)[0][:, : usual.shape[1]]
        errors = [np.nanmean((self._values - guess) ** 2, axis=1) for guess in (usual, weekly)]
        total = np.maximum(errors[0] ** 2 + errors[1] ** 2, 1e-300)
        return np.asarray(errors[0] ** 2 / total, dtype=np.float64)[:, None]
