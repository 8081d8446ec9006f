"""The Universal Scalability Law: throughput as a function of concurrency, and where it peaks.

X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), sigma the share of work that is serialized, kappa the cost of
keeping N parties coherent; the peak lies at N* = sqrt((1 - sigma) / kappa) (N. J. Gunther, "Guerrilla Capacity
Planning", 2007). N / X(N) is linear in its unknowns, so the fit is a non-negative least squares one, weighted so that
relative errors count.

A law is a claim about a peak only where the test has seen both sides of it: see `is_known`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls
from scipy.special import stdtrit

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_LEVELS = 4  # one more than there are unknowns
LEAST_FIT = 0.8
LEAST_CONFIDENCE = 0.975


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


def load_levels(users: Floats, throughput: Floats) -> tuple[Floats, Floats]:
    """Return each level of users with its median throughput, shapes (levels,); NaN and Inf are skipped."""
    usable = np.isfinite(users) & np.isfinite(throughput) & (users >= 1) & (throughput > 0)
    rounded, measured = np.round(users[usable]), throughput[usable]
    levels = np.unique(rounded)
    return levels.astype(np.float64), np.array([np.median(measured[rounded == level]) for level in levels])


def fit_scalability(users: Floats, throughput: Floats) -> Scalability | None:
    """Fit the law to a load test.

    Args:
        users: Concurrent users at each point, shape (points,).
        throughput: Requests per second at the same points.

    Returns:
        The law; None with fewer than LEAST_LEVELS levels of users, below LEAST_FIT of explained variance, and where
        the test does not show the peak (a plateau alone, or a rise alone).
    """
    n, x = load_levels(users, throughput)
    law = _fit(n, x)
    return law if law is not None and law.explained >= LEAST_FIT and is_known(law, n, x) else None


def is_known(law: Scalability, levels: Floats, measured: Floats) -> bool:
    """Return whether the test shows that throughput rises, bends and falls.

    The peak lies between the levels, and lambda and kappa differ from 0 by the t-test of the linear regression.
    """
    if not levels.min() < law.peak < levels.max() or law.throughput(law.peak) < measured[levels.argmin()]:
        return False
    terms, target = _system(levels, measured)
    unknowns = np.array([1.0, law.contention, law.coherence]) / law.rate
    free = max(len(levels) - 3, 1)
    variance = float(((target - terms @ unknowns) ** 2).sum()) / free
    errors = np.sqrt(variance * np.diag(np.linalg.pinv(terms.T @ terms)))
    critical = float(stdtrit(free, LEAST_CONFIDENCE))
    return bool(unknowns[0] > critical * errors[0] and unknowns[2] > critical * errors[2])


def _system(n: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Return the terms and the target of the linear regression of n / x, weighted by x / n."""
    terms = np.column_stack([np.ones_like(n), n - 1.0, n * (n - 1.0)])
    return terms * (x / n)[:, None], np.ones_like(n)


def _fit(n: Floats, x: Floats) -> Scalability | None:
    if len(n) < LEAST_LEVELS:
        return None
    (base, queue, agree), _ = nnls(*_system(n, x))
    if base <= 0:
        return None
    law = Scalability(float(1.0 / base), float(queue / base), float(agree / base), 0.0)
    left = x - np.array([law.throughput(level) for level in n])
    spread = float(((x - x.mean()) ** 2).sum())
    explained = 1.0 - float((left**2).sum()) / spread if spread > 0 else 0.0
    return Scalability(law.rate, law.contention, law.coherence, explained)
