"""How much of a resource a request takes, from live traffic: utilisation against throughput.

Service demand law: D = U / X, the busy time of a resource per request (P. J. Denning and J. P. Buzen, "The Operational
Analysis of Queueing Network Models", 1978). Where a resource also does other work, U = a + D X: the line's slope is the
demand, and the intercept what is there without requests. The line holds as far as requests stay what they are.

Points near one another in time resemble one another, so that intervals come from a bootstrap of blocks of them
(H. R. Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.figures import Refusal

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_POINTS = 10
LEAST_SPREAD = 1.3  # between low and high rates: a single level of load shows no slope
LEAST_USE = 0.05  # of the resource at high rates: below it is noise that would be multiplied
LEAST_EXPLAINED = 0.5  # of the variance of the use
RESAMPLES = 200
SEED = 19780901
LOW, HIGH = 0.1, 0.9  # quantiles that stand for low and high


@dataclass(frozen=True, slots=True)
class Demand:
    """The use of a resource at a rate, as a share of its size: `base + slope x rate`.

    Attributes:
        base, slope: Of all points; the slope in seconds of the whole resource per request.
        bases, slopes: Of each resample, shape (RESAMPLES,).
        explained: The share of the variance of the use that the rate explains.
        highest_rate: The highest rate of the points, in requests per second.
    """

    base: float
    slope: float
    bases: Floats
    slopes: Floats
    explained: float
    highest_rate: float

    def use(self, rate: Floats) -> Floats:
        """Return the share in use at rates of requests per second."""
        return np.asarray(self.base + self.slope * rate)


def resample(points: int) -> Floats:
    """Return the numbers of points of each resample by blocks, shape (RESAMPLES, points); always the same."""
    length = max(1, round(points ** (1 / 3)))
    blocks = -(-points // length)
    starts = np.random.default_rng(SEED).integers(0, points, (RESAMPLES, blocks))
    # Blocks go round the end, so that every point is drawn as often.
    numbers = (starts[:, :, None] + np.arange(length)) % points
    return np.asarray(numbers.reshape(RESAMPLES, -1)[:, :points])


def is_one_level(rate: Floats) -> bool:
    """Return whether the rates, shape (points,), are too much alike to show how anything depends on them."""
    low, high = np.quantile(rate, [LOW, HIGH])
    return bool(high < LEAST_SPREAD * low or high <= 0)


def fit_demand(rate: Floats, use: Floats, name: str) -> Demand | Refusal:
    """Return the demand for a resource, or why the points show none.

    Args:
        rate: Requests per second at each point, in the order of time, shape (points,); all finite.
        use: The share of the resource in use at the same points.
        name: What the resource is called in reasons.
    """
    if len(rate) < LEAST_POINTS:
        return Refusal(f"{name}: {len(rate)} measurements are too few, {LEAST_POINTS} are needed")
    if is_one_level(rate):
        return Refusal(f"{name}: the request rate hardly varied, and one level of load shows no demand per request")
    if np.quantile(use, HIGH) < LEAST_USE:
        return Refusal(f"{name}: {np.quantile(use, HIGH):.1%} in use is too little to extrapolate from")
    base, slope = (float(one[0]) for one in _line(rate[None, :], use[None, :]))
    spread = float(((use - use.mean()) ** 2).sum())
    explained = 1.0 - float(((use - base - slope * rate) ** 2).sum()) / spread if spread > 0 else 0.0
    if explained < LEAST_EXPLAINED or slope <= 0:
        share = f"{explained:.0%} of its use" if slope > 0 else "none of its use"
        return Refusal(f"{name}: the request rate explains {share}, other work does the rest")
    drawn = resample(len(rate))
    bases, slopes = _line(rate[drawn], use[drawn])
    if np.quantile(slopes, 0.05) <= 0:
        return Refusal(f"{name}: its use is too noisy to show a demand per request")
    return Demand(base, slope, bases, slopes, explained, float(rate.max()))


def _line(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return intercepts and slopes by least squares of each row, shape (rows,); nothing is in use below no request."""
    around_x, around_y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    spread = (around_x**2).sum(axis=1)
    slopes = np.divide((around_x * around_y).sum(axis=1), spread, out=np.zeros(len(x)), where=spread > 0)
    bases = y.mean(axis=1) - slopes * x.mean(axis=1)
    # A negative base would promise requests that take less at higher rates: the line then goes through the origin.
    squares = (x**2).sum(axis=1)
    through = np.divide((x * y).sum(axis=1), squares, out=np.zeros(len(x)), where=squares > 0)
    is_below = bases < 0
    return np.where(is_below, 0.0, bases), np.where(is_below, through, slopes)
