"""The Universal Scalability Law: throughput as a function of concurrency, and where it peaks.

X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), sigma the share of work that is serialized, kappa the cost of
keeping N parties coherent; the peak lies at N* = sqrt((1 - sigma) / kappa) (N. J. Gunther, "Guerrilla Capacity
Planning", 2007). N / X(N) is linear in its unknowns, so the fit is a non-negative least squares one, weighted so that
relative errors count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_LEVELS = 4
LEAST_FIT = 0.8


@dataclass(frozen=True, slots=True)
class Scalability:
    """The fitted law.

    Attributes:
        rate: lambda, the throughput of one user per second.
        contention: sigma.
        coherence: kappa.
        explained: The share of the throughput's variance that the law explains.
    """

    rate: float
    contention: float
    coherence: float
    explained: float

    def throughput(self, users: float) -> float:
        """Return X(N) in requests per second."""
        bend = 1.0 + self.contention * (users - 1.0) + self.coherence * users * (users - 1.0)
        return self.rate * users / bend

    @property
    def peak(self) -> float:
        """Return the concurrency at which throughput is greatest; infinite when it never falls."""
        return float(np.sqrt(max(1.0 - self.contention, 0.0) / self.coherence)) if self.coherence > 0 else float("inf")


def fit_scalability(users: Floats, throughput: Floats) -> Scalability | None:
    """Fit the law to a load test.

    Args:
        users: Concurrent users at each point, shape (points,).
        throughput: Requests per second at the same points.

    Returns:
        The law; None with fewer than LEAST_LEVELS levels of users or below LEAST_FIT of explained variance.
    """
    usable = np.isfinite(users) & np.isfinite(throughput) & (users >= 1) & (throughput > 0)
    levels = np.unique(np.round(users[usable]))
    if len(levels) < LEAST_LEVELS:
        return None
    n = levels.astype(np.float64)
    x = np.array([np.median(throughput[usable][np.round(users[usable]) == level]) for level in levels])
    terms = np.column_stack([np.ones_like(n), n - 1.0, n * (n - 1.0)])
    weight = x / n
    (base, queue, agree), _ = nnls(terms * weight[:, None], n / x * weight)
    if base <= 0:
        return None
    law = Scalability(float(1.0 / base), float(queue / base), float(agree / base), 0.0)
    left = x - np.array([law.throughput(level) for level in n])
    spread = float(((x - x.mean()) ** 2).sum())
    explained = 1.0 - float((left**2).sum()) / spread if spread > 0 else 0.0
    return Scalability(law.rate, law.contention, law.coherence, explained) if explained >= LEAST_FIT else None
