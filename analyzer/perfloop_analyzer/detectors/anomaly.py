"""Robust anomaly score: 1 on the edge of the expected band, 0 in its middle, comparable between signals.

The expected value y^ and the scale s come from the seasonal profile (median and MAD per phase of the day) where there
is one, else from the window before the newest points: its median, and its MAD or difference scale, whichever is larger.
The band is y^ +- h, h = max(k s, minimum deviation of the signal, 2% of the level), with k the quantile of Student's t
for the level of the cycle. On the bad side it reaches beyond what the series did again and again before:
a tail fitted to the bulk of a bursty or bimodal series says nothing about its bursts. That reach is a return level
(S. Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, sections 4.2 and 5.3): the peaks of
excursions, declustered so that one excursion counts once, have an exponential tail beyond their r-th highest z(r). It
is passed at a rate of r / n, and its mean excess is (z(r) - z(2r)) / log 2, so that neither rests on fewer than r
excursions: r is RECURRENT in the window, and RECURRENT_LONG in days of history. Score = |y - y^| / h; it is 0 in the
direction without a limit and below MIN_SAMPLES points.

For a finding the newest PERSIST points must all be outside, on one side; it lasts until none of them is. The p-value
is that of the smallest of them: the larger of the return level's and of Student's t with at most DEGREES degrees of
freedom, because metrics have heavier tails than a Gaussian, and a scale from few independent pieces is uncertain. Where
they are all CLEAR scales away and the series is known well, Student's t may judge their mean instead, by the scale of
such means: a series that jumps from point to point has a wide band, and is steady for all that when averaged. The score
of 1 at the boundary follows VictoriaMetrics' vmanomaly; the MAD as a scale is Hampel's (1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from perfloop_analyzer.detectors.robust import difference_scale, mad_scale, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats, Grid
    from perfloop_base.thresholds import Direction

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

PERSIST = 3  # points, or fewer where they last longer than PERSIST_SECONDS
PERSIST_SECONDS = 15.0
LEAST_PERSIST = 2  # points: one alone may be an outlier
GUARD = 12  # newest points that the local band leaves out, so that an anomaly does not widen its own band
MIN_SAMPLES = 24
DEGREES = 8.0
RELATIVE_FLOOR = 0.02  # of the level
# Excursions of one height in one window: a failure that comes back three times is still reported, a burst is not.
RECURRENT = 4
# In a week of history: about daily. Its points are minutes apart, so that it sees a share of the excursions.
RECURRENT_LONG = 6
# The hours of history around a point that say what was usual: longer than an excursion, shorter than a day.
LOCAL_SECONDS = 7200.0
CALM = PERSIST  # points near the usual value that end an excursion
RISES = 1.5  # times the lowest point of a flank: there another excursion begins
PIECE = 8  # points after which a metric has mostly forgotten what it did: one piece is one degree of freedom
FEWEST_DEGREES = MIN_SAMPLES / PIECE
CLEAR = 2.0  # scales; three points in a row are so far away by chance once in a hundred thousand
NEAR = 3.0  # scales; a row that was never farther away has no excursions


@dataclass(frozen=True, slots=True)
class Tail:
    """Excursions on the bad side of the usual value, shape (series,): beyond `reach` at `rate` per point.

    Above it their heights fall off exponentially with the mean `spread`; both are in the signal's unit. A `reach` of 0
    stands for a series without excursions.
    """

    reach: Floats
    spread: Floats
    rate: Floats

    def edge(self, level: float) -> Floats:
        """Return the height whose p-value is `level`, at least `reach`."""
        farther = self.spread * np.log(np.fmax(self.rate / level, 1.0))
        return np.asarray(self.reach + farther, dtype=np.float64)

    def p_value(self, height: Floats) -> Floats:
        """Return the probability, per point, that an excursion is at least as high; 0 where there are none."""
        beyond = (height - self.reach) / np.where(self.spread > 0, self.spread, 1.0)
        beyond = np.where(self.spread > 0, beyond, np.where(beyond > 0, np.inf, 0.0))
        chance = np.where(beyond > 0, self.rate * np.exp(-np.fmax(beyond, 0.0)), 1.0)
        return np.asarray(np.where(self.reach > 0, chance, 0.0), dtype=np.float64)

    def take(self, rows: Ints) -> Tail:
        """Return the tails of some rows; a row of -1 has no excursions."""
        there = rows >= 0
        return Tail(*(np.where(there, part[rows], 0.0) for part in (self.reach, self.spread, self.rate)))


def no_excursions(count: int) -> Tail:
    """Return the tails of so many series without excursions."""
    return Tail(np.zeros(count), np.zeros(count), np.zeros(count))


@dataclass(frozen=True, slots=True)
class Band:
    """Expected value and scale of each series, shape (series,), in the signal's unit; NaN where unknown.

    `degrees` is how well the scale is known, in degrees of freedom; `tails` are those of the excursions in the window
    and in the history; `persist` is how many of the newest points must be outside.
    """

    expected: Floats
    scale: Floats
    degrees: Floats
    tails: tuple[Tail, ...]
    persist: int = PERSIST


def persist_points(grid: Grid) -> int:
    """Return how many points must be outside: PERSIST at short steps, LEAST_PERSIST where a point lasts longer."""
    return min(PERSIST, grid.points_in(PERSIST_SECONDS, LEAST_PERSIST))


@dataclass(frozen=True, slots=True)
class Anomalies:
    """Per series: score, band and newest value, and the p-value of the newest points; NaN with too little data.

    `lingers` says whether any of the newest PERSIST points is outside: what has begun has not ended.
    """

    score: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    p_value: Floats
    value: Floats
    lingers: Bools


def local_band(values: Floats, direction: Direction = "above") -> Band:
    """Return the band of the window before the newest GUARD points; `values` has the shape (series, points)."""
    reference = values[:, :-GUARD]
    if reference.shape[1] < MIN_SAMPLES:
        unknown = np.full(len(values), np.nan)
        return Band(unknown, unknown, np.full(len(values), FEWEST_DEGREES), ())
    expected = quiet_nanmedian(reference)
    scale = np.fmax(mad_scale(reference, expected), difference_scale(reference))
    count = np.isfinite(reference).sum(axis=1)
    few = count < MIN_SAMPLES
    sign = 1.0 if direction == "above" else -1.0
    tail = _tail_of(sign * (reference - expected[:, None]), scale, RECURRENT)
    degrees = np.clip(count / PIECE, FEWEST_DEGREES, DEGREES)
    return Band(np.where(few, np.nan, expected), np.where(few, np.nan, scale), degrees, (tail,))


def recurrent_tail(values: Floats, step: float, direction: Direction) -> Tail:
    """Return the excursions of each series of a history.

    What was usual is the median of the hours around: a season and a drift are no excursions.

    Args:
        values: Shape (series, points).
        step: Seconds between two points.
        direction: The side that is bad.
    """
    size = max(1, round(LOCAL_SECONDS / step))
    blocks = values.shape[1] // size
    if not blocks:
        return no_excursions(len(values))
    kept = values[:, values.shape[1] - blocks * size :].reshape(len(values), blocks, size)
    sign = 1.0 if direction == "above" else -1.0
    excess = sign * (kept - quiet_nanmedian(kept, axis=2)[:, :, None])
    excess = excess.reshape(len(values), -1)
    return _tail_of(excess, mad_scale(excess, np.zeros(len(values))), RECURRENT_LONG)


def _tail_of(excess: Floats, scale: Floats, times: int) -> Tail:
    """Return the tails of the excursions in `excess`, shape (series, points), from the 2 x `times` highest."""
    tail = no_excursions(len(excess))
    highest = np.where(np.isfinite(excess), excess, -np.inf).max(axis=1)
    rows = np.flatnonzero(highest > NEAR * np.nan_to_num(scale))
    if len(rows):
        peaks = np.fmax(excursion_peaks(excess[rows], 2 * times), 0.0)
        tail.reach[rows] = peaks[:, times - 1]
        tail.spread[rows] = (peaks[:, times - 1] - peaks[:, -1]) / np.log(2.0)
        tail.rate[rows] = times / np.isfinite(excess[rows]).sum(axis=1)
    return tail


def excursion_peaks(excess: Floats, count: int) -> Floats:
    """Return the peaks of each row's highest excursions, shape (series, count), -inf where there are no more.

    An excursion is everything around its peak that is higher than half of it, and goes on where the row is lower for
    fewer than CALM points; and its flanks, until the row RISES again above the lowest point of a flank: the lower part
    of a slow rise is no excursion of its own.

    Args:
        excess: Height above the expected value, shape (series, points); NaN is a gap.
        count: How many excursions.
    """
    left = np.where(np.isfinite(excess), excess, -np.inf)
    rows, place = np.arange(len(left)), np.arange(left.shape[1])
    peaks = np.empty((len(left), count))
    for number in range(count):
        peak = np.argmax(left, axis=1)
        peaks[:, number] = left[rows, peak]
        if number < count - 1:
            left[_excursion(left, peak, peaks[:, number], place)] = -np.inf
    return peaks


def _excursion(excess: Floats, peak: Ints, height: Floats, place: Ints) -> Bools:
    """Return which points belong to the excursion around each row's peak."""
    low = ~(excess > height[:, None] / 2)
    calm = low.copy()
    for lag in range(1, CALM):
        calm[:, lag:] &= low[:, :-lag]
        calm[:, :lag] = False
    # `calm` marks the last of CALM low points: the excursion lies between the nearest ones on both sides.
    after = np.where(calm & (place > peak[:, None]), place, len(place) + CALM).min(axis=1)
    before = np.where(calm & (place < peak[:, None]), place, -1).max(axis=1)
    last = _end_of_flank(excess, np.minimum(after, len(place) - 1), place)
    mirrored = len(place) - 1 - np.clip(before, 0, None)
    first = len(place) - 1 - _end_of_flank(excess[:, ::-1], mirrored, place)
    return np.asarray((place >= first[:, None]) & (place <= last[:, None]), dtype=np.bool_)


def _end_of_flank(excess: Floats, start: Ints, place: Ints) -> Ints:
    """Return the last point of each row, from `start` on, before it RISES above the lowest one since."""
    beyond = place > start[:, None]
    lowest = np.minimum.accumulate(np.where(place >= start[:, None], excess, np.inf), axis=1)
    rises = np.zeros(excess.shape, dtype=np.bool_)
    rises[:, 1:] = beyond[:, 1:] & (excess[:, 1:] > RISES * lowest[:, :-1])
    return np.asarray(np.where(rises.any(axis=1), np.argmax(rises, axis=1) - 1, len(place) - 1), dtype=np.int64)


def find_anomalies(values: Floats, band: Band, direction: Direction, floor: float, level: float) -> Anomalies:
    """Score the newest points of every series against its band.

    Args:
        values: Shape (series, points).
        band: One expected value and scale per series.
        direction: On which side of the band values are bad.
        floor: The smallest half width of a band, in the signal's unit.
        level: The p-value at the edge of the band.
    """
    least = np.fmax(floor, RELATIVE_FLOOR * np.abs(band.expected))
    half = np.fmax(_width(band, level) * np.nan_to_num(band.scale), least)
    half = np.where(np.isnan(band.expected) | ~(half > 0), np.nan, half)
    recurrent = np.max([np.zeros(len(values)), *(tail.edge(level) for tail in band.tails)], axis=0)
    wide = np.maximum(half, recurrent)
    sign = 1.0 if direction == "above" else -1.0
    excess = sign * (values[:, -PERSIST:] - band.expected[:, None])
    steady, longer = _least(excess[:, -band.persist :]), _least(excess)
    beyond, together = steady / half, _together(values, band, excess, (half, least))
    p_value = np.fmin(_p_value(band, level, beyond, steady), _p_value(band, level, together, longer))
    p_value = np.where(np.isfinite(beyond), p_value, np.nan)
    # 1 on the edge of the band, and where the newest points together begin to be a finding.
    together = np.where(longer > recurrent, together, 0.0)
    newest = excess[:, -1] / wide
    # Of -0 and 0 `fmax` returns either, by the length of the array: the sum with 0 is 0.
    score = np.where(np.isfinite(newest), np.fmax(np.fmax(newest, together), 0.0), 0.0) + 0.0
    outside = (excess[:, -band.persist :] > wide[:, None]).any(axis=1)
    above, below = (wide, half) if sign > 0 else (half, wide)
    lower, upper = band.expected - below, band.expected + above
    lingers = np.asarray(outside | (p_value <= level), dtype=np.bool_)
    return Anomalies(score, band.expected, lower, upper, p_value, values[:, -1], lingers)


def _width(band: Band, level: float) -> Floats:
    return np.asarray(stdtrit(band.degrees, 1.0 - level / 2), dtype=np.float64)


def _least(excess: Floats) -> Floats:
    """Return the smallest of each row; NaN where one is missing."""
    return np.where(np.isfinite(excess).all(axis=1), excess.min(axis=1), np.nan)


def _p_value(band: Band, level: float, beyond: Floats, height: Floats) -> Floats:
    """Return the p-values of `beyond`, in half widths of the band, and of as high an excursion as `height`."""
    p_value = 2.0 * stdtr(band.degrees, -np.fmax(beyond, 0.0) * _width(band, level))
    for tail in band.tails:
        p_value = np.fmax(p_value, tail.p_value(height))
    return np.asarray(p_value, dtype=np.float64)


def _together(values: Floats, band: Band, excess: Floats, widths: tuple[Floats, Floats]) -> Floats:
    """Return the mean of the newest points in half widths of a band for such means; 0 where that is not asked.

    It is asked where the series is known well, and each of the points is CLEAR scales away.

    Args:
        values: Shape (series, points).
        band: That of single points.
        excess: How far the newest PERSIST points are away, shape (series, PERSIST).
        widths: The half widths of the band, and the smallest ones that count, shape (series,).
    """
    half, least = widths
    found = np.zeros(len(values))
    rows = np.flatnonzero((_least(excess) > np.fmax(CLEAR * band.scale, least)) & (band.degrees >= DEGREES))
    if len(rows):
        before = values[rows, :-GUARD]
        count = before.shape[1] - PERSIST + 1
        means = np.mean([before[:, lag : lag + count] for lag in range(PERSIST)], axis=0)
        of_points, of_means = (mad_scale(one, quiet_nanmedian(one)) for one in (before, means))
        left = np.where(of_points > of_means, of_means / np.where(of_points > 0, of_points, 1.0), 1.0)
        found[rows] = excess[rows].mean(axis=1) / np.fmax(half[rows] * left, least[rows])
    return found
