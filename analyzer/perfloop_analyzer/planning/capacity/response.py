"""How long responses take at a rate: a part that does not wait, and one that grows as the first limit fills.

p95(rate) = fixed + queueing x S(use at the rate), S how many times as long as alone work takes at n busy servers
(`queueing.slowdown`: M/M/n, and processor sharing at n cores). Both coefficients are at least 0, by least squares of
relative errors. Where the points never saw the resource busy, S hardly varies, and which part waits is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.queueing import slowdown

if TYPE_CHECKING:
    from perfloop_analyzer.planning.capacity.demand import Demand
    from perfloop_analyzer.series import Floats

FULL = 0.95  # of a resource: the critical limit of every resource of the catalogue
KNOWN_SLOWDOWN = 1.3  # between low and high rates: from here on the points show which part waits
MOST_SERVERS = 512  # beyond them the slowdown is a step at full use
POINTS = 400


@dataclass(frozen=True, slots=True)
class Response:
    """The 95th percentile in seconds at a rate per replica.

    Attributes:
        fixed, queueing: The coefficients of all points, in seconds.
        fixeds, queueings: Of each resample, shape (RESAMPLES,).
        is_known: Whether the points show which part waits.
    """

    demand: Demand
    servers: int
    fixed: float
    queueing: float
    fixeds: Floats
    queueings: Floats
    is_known: bool

    def latency(self, rate: float) -> float:
        """Return the 95th percentile in seconds at so many requests per second and replica; infinite beyond all."""
        use = self.demand.base + self.demand.slope * rate
        if use >= 1.0:
            return float("inf")
        return self.fixed + self.queueing * float(slowdown_of(np.array([use]), self.servers)[0])

    def rates(self, limit: float | None) -> tuple[float, Floats]:
        """Return the highest rate per replica within the limit in seconds: of all points, and of each resample.

        None is no limit: then FULL is.
        """
        whole = np.array([self.fixed]), np.array([self.queueing])
        first = self._rates(limit, whole, (np.array([self.demand.base]), np.array([self.demand.slope])))
        each = self._rates(limit, (self.fixeds, self.queueings), (self.demand.bases, self.demand.slopes))
        return float(first[0]), each

    def _rates(self, limit: float | None, response: tuple[Floats, Floats], demand: tuple[Floats, Floats]) -> Floats:
        fixed, queueing = response
        base, slope = demand
        most = np.full(len(fixed), FULL)
        if limit is not None:
            slowest = np.divide(limit - fixed, queueing, out=np.full(len(fixed), np.inf), where=queueing > 0)
            slowest = np.where((queueing <= 0) & (fixed > limit), 0.0, slowest)
            uses, times = table(self.servers)
            most = np.where(slowest < 1.0, 0.0, np.minimum(most, np.interp(slowest, times, uses)))
        rates = np.divide(most - base, slope, out=np.zeros(len(fixed)), where=slope > 0)
        return np.maximum(rates, 0.0)


def fit_response(rate: Floats, p95: Floats, demand: Demand, servers: int, drawn: Floats) -> Response:
    """Return the response times of points, all finite, shape (points,); `drawn` numbers the points of each resample."""
    slow = slowdown_of(np.minimum(demand.use(rate), FULL), servers)
    fixed, queueing = (float(one[0]) for one in _split(slow[None, :], p95[None, :]))
    fixeds, queueings = _split(slow[drawn], p95[drawn])
    is_known = bool(np.quantile(slow, 0.95) >= KNOWN_SLOWDOWN * np.quantile(slow, 0.05)) and queueing > 0
    return Response(demand, servers, fixed, queueing, fixeds, queueings, is_known)


def all_queueing(response: Response, rate: Floats, p95: Floats) -> Response:
    """Return the response times if all of a response waited: the most cautious that the points allow."""
    slow = slowdown_of(np.minimum(response.demand.use(rate), FULL), response.servers)
    whole = float(np.median(p95 / slow))
    count = len(response.fixeds)
    return Response(
        response.demand, response.servers, 0.0, whole, np.zeros(count), np.full(count, whole), response.is_known
    )


def _split(slow: Floats, times: Floats) -> tuple[Floats, Floats]:
    """Return the fixed and the queueing part of each row by non-negative least squares of relative errors."""
    one, other = 1.0 / times, slow / times
    aa, ab, bb = ((left * right).sum(axis=1) for left, right in ((one, one), (one, other), (other, other)))
    a, b = one.sum(axis=1), other.sum(axis=1)
    whole = aa * bb - ab * ab
    is_solved = whole > 1e-12 * aa * bb
    fixed = np.divide(a * bb - b * ab, whole, out=np.full(len(a), -1.0), where=is_solved)
    queueing = np.divide(b * aa - a * ab, whole, out=np.full(len(a), -1.0), where=is_solved)
    # Outside the quadrant the least squares lie on one of its edges.
    alone_fixed, alone_queueing = a / aa, b / bb
    is_fixed_better = a * alone_fixed >= b * alone_queueing
    is_inside = (fixed >= 0) & (queueing >= 0)
    return (
        np.where(is_inside, fixed, np.where(is_fixed_better, alone_fixed, 0.0)),
        np.where(is_inside, queueing, np.where(is_fixed_better, 0.0, alone_queueing)),
    )


def slowdown_of(use: Floats, servers: int) -> Floats:
    """Return how many times as long as alone work takes at a use below 1, shape as given."""
    uses, times = table(servers)
    return np.interp(use, uses, times)


@lru_cache(maxsize=64)
def table(servers: int) -> tuple[Floats, Floats]:
    """Return uses from 0 to almost 1, and the slowdown at each, both rising, shapes (POINTS,)."""
    count = max(1, min(servers, MOST_SERVERS))
    uses = 1.0 - np.geomspace(1.0, 1e-4, POINTS)
    return uses, np.array([slowdown(use * count, count) for use in uses])
