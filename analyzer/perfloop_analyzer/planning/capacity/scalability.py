"""The Universal Scalability Law: throughput as a function of concurrency, and where it peaks.

X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), sigma the share of work that is serialized, kappa the cost of
keeping N parties coherent; the peak lies at N* = sqrt((1 - sigma) / kappa) (N. J. Gunther, "Guerrilla Capacity
Planning", 2007). N / X(N) is linear in its unknowns, so the fit is a non-negative least squares one, weighted so that
relative errors count.

A law is a claim about a peak only where the test has seen both sides of it: see `explain_scalability`, which says what
is missing otherwise. How sure the peak is follows from a parametric bootstrap (B. Efron and R. J. Tibshirani, "An
Introduction to the Bootstrap", 1993, 6.5): the law is fitted again to levels that scatter around it as the
measured ones do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls
from scipy.special import stdtrit

from perfloop_analyzer.planning.figures import Bounds, Refusal

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

LEAST_LEVELS = 4  # one more than there are unknowns
LEAST_FIT = 0.8
LEAST_CONFIDENCE = 0.975
FLAT = 0.1  # of the highest throughput: levels that differ by less are a plateau
RESAMPLES = 200
SEED = 20070101


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
    law = explain_scalability(users, throughput)
    return law if isinstance(law, Scalability) else None


def explain_scalability(users: Floats, throughput: Floats) -> Scalability | Refusal:
    """Return the law of a load test, as `fit_scalability`, or what the measurements lack for one."""
    n, x = load_levels(users, throughput)
    if len(n) < LEAST_LEVELS:
        what = {0: "no load was measured", 1: "a fit needs more than one level of load"}
        return Refusal(what.get(len(n), f"{len(n)} levels of load are too few: the law has 3 unknowns"))
    law = _fit(n, x)
    is_explained = law is not None and law.explained >= LEAST_FIT
    if law is not None and is_explained and is_known(law, n, x):
        return law
    if law is not None and is_explained and law.peak >= n.max():
        return Refusal(f"throughput still rises at {n.max():.0f} concurrent requests: no peak was reached")
    return Refusal(_shape(law, n, x))


def _shape(law: Scalability | None, n: Floats, x: Floats) -> str:
    """Return why levels that are enough show no peak."""
    if x.max() - x.min() < FLAT * x.max():
        return f"throughput is the same from {n.min():.0f} concurrent requests on: a plateau shows no rise"
    if law is None or law.explained < LEAST_FIT:
        share = (
            f"explains {max(law.explained, 0.0):.0%} of the measurements" if law else "does not fit the measurements"
        )
        return f"too noisy: the law {share}"
    if law.peak <= n.min() or law.throughput(law.peak) < x[n.argmin()]:
        return f"throughput falls from {n.min():.0f} concurrent requests on: no rise was measured"
    return "too noisy to distinguish a peak from a plateau"


def peak_bounds(law: Scalability, users: Floats, throughput: Floats) -> Bounds:
    """Return the throughput at the peak, in requests per second, with its interval, for the points of the fit."""
    n, x = load_levels(users, throughput)
    expected = np.array([law.throughput(level) for level in n])
    # Three unknowns took their share of the scatter.
    scatter = float(np.sqrt(((x / expected - 1.0) ** 2).sum() / max(len(n) - 3, 1)))
    noise = np.random.default_rng(SEED).standard_normal((RESAMPLES, len(n)))
    fits = (_fit(n, row) for row in np.maximum(expected * (1.0 + scatter * noise), 0.01 * expected))
    peaks = [fit.throughput(min(fit.peak, 2.0 * float(n.max()))) for fit in fits if fit is not None]
    lower, upper = np.quantile(peaks, [0.05, 0.95]) if peaks else (0.0, float("inf"))
    peak = law.throughput(law.peak)
    # The fit is biased by noise, and so is each resample against it: of both directions the wider counts.
    reach = max(peak - float(lower), float(upper) - peak, 0.0)
    return Bounds(max(peak - reach, 0.0), peak, peak + reach)


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
