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
freedom, because metrics have heavier tails than a Gaussian, and a scale from few independent pieces is uncertain. The
score of 1 at the boundary follows VictoriaMetrics' vmanomaly; the MAD as a scale is Hampel's (1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from perfloop_analyzer.detectors.robust import difference_scale, mad_scale, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats
    from perfloop_base.thresholds import Direction

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

PERSIST = 3  # points
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
PIECE = 8  # points after which a metric has mostly forgotten what it did: one piece is one degree of freedom
FEWEST_DEGREES = MIN_SAMPLES / PIECE
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
    and in the history.
    """

    expected: Floats
    scale: Floats
    degrees: Floats
    tails: tuple[Tail, ...]


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
    fewer than CALM points.

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
    return np.asarray((place > before[:, None]) & (place <= after[:, None]), dtype=np.bool_)


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
    width = stdtrit(band.degrees, 1.0 - level / 2)
    half = np.fmax(width * np.nan_to_num(band.scale), least)
    half = np.where(np.isnan(band.expected) | ~(half > 0), np.nan, half)
    wide = half
    for recurrent in band.tails:
        wide = np.maximum(wide, recurrent.edge(level))
    sign = 1.0 if direction == "above" else -1.0
    tail = values[:, -PERSIST:]
    excess = sign * (tail - band.expected[:, None])
    newest = excess[:, -1] / wide
    steady = np.where(np.isfinite(excess).all(axis=1), excess.min(axis=1), np.nan)
    p_value = 2.0 * stdtr(band.degrees, -np.fmax(steady / half, 0.0) * width)
    for recurrent in band.tails:
        p_value = np.fmax(p_value, recurrent.p_value(steady))
    p_value = np.where(np.isfinite(steady / half), p_value, np.nan)
    score = np.where(np.isfinite(newest), np.fmax(newest, 0.0), 0.0)
    lingers = np.asarray((excess > wide[:, None]).any(axis=1), dtype=np.bool_)
    above, below = (wide, half) if sign > 0 else (half, wide)
    lower, upper = band.expected - below, band.expected + above
    return Anomalies(score, band.expected, lower, upper, p_value, tail[:, -1], lingers)
