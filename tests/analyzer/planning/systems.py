"""Systems whose capacity is known: points of traffic as Prometheus would have them, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.queueing import slowdown
from perfloop_analyzer.planning.capacity.traffic import Traffic

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LN20 = float(np.log(20.0))


@dataclass(frozen=True, slots=True)
class System:
    """A service with one resource of `servers`, whose requests take `service` seconds of it, and `fixed` elsewhere.

    Its p95 is that of one exponential server where `servers` is 1, else the same multiple of the mean.
    """

    servers: int = 1
    service: float = 0.005
    fixed: float = 0.01
    base: float = 0.0

    def use(self, rate: Floats) -> Floats:
        """The share of the resource in use."""
        return np.asarray(self.base + rate * self.service / self.servers)

    def p95(self, rate: Floats) -> Floats:
        """The 95th percentile of the response time in seconds."""
        use = np.minimum(self.use(rate), 0.999)
        slow = np.array([slowdown(float(one) * self.servers, self.servers) for one in use])
        return np.asarray(self.fixed + LN20 * self.service * slow)

    def capacity(self, limit: float, full: float = 0.95) -> float:
        """The highest rate whose p95 is within the limit, and that leaves the resource less than full."""
        low, high = 0.0, (full - self.base) * self.servers / self.service
        if float(self.p95(np.array([high]))[0]) <= limit:
            return high
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if float(self.p95(np.array([middle]))[0]) <= limit else (low, middle)
        return low

    def traffic(self, rates: Floats, rng: np.random.Generator, noise: float = 0.05, name: str = "cpu") -> Traffic:
        """What a day of these rates shows, shape (points,); noise is that of each measured value, as a share."""

        def noisy(values: Floats) -> Floats:
            return np.asarray(values * np.exp(noise * rng.standard_normal(len(values))))

        p95 = noisy(self.p95(rates))
        return Traffic(
            rate=rates,
            p95=p95,
            mean=p95 / 3,
            errors=np.zeros(len(rates)),
            uses={name: np.minimum(noisy(self.use(rates)), 1.0)},
            sizes={name: self.servers},
            replicas=1,
            total=float(rates[-1]),
            highest_total=float(rates.max()),
        )


def daily(low: float, high: float, points: int = 200) -> Floats:
    """Rates that go from low to high and back within the points."""
    return np.asarray(low + (high - low) * (1 - np.cos(2 * np.pi * np.arange(points) / points)) / 2)
