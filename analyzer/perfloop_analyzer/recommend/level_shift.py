"""How far a series moved between two spans, when its noise remembers.

Neighbouring windows of a metric resemble each other, so that thirty of them say less than thirty independent values
would, and how much less is itself uncertain over so few. The noise is taken as a stationary Gaussian process in time:
an autoregression of first order with memory phi from one window to the next, on top of which a share q is independent
noise (sampling). Neither is estimated: the levels are the mixture over a grid of both, each weighted by its marginal
likelihood (the levels and the variance integrated out under flat priors; Zellner & Tiao, JASA 59, 1964). The grid's
phi are dense near 1, as the reference prior of an autoregression asks, 1 / sqrt(1 - phi^2) (Berger & Yang, Econometric
Theory 10, 1994). A series without memory is so compared nearly as by Student's t, a random walk by its jump alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, stdtr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.series import Floats

MEMORIES = 8  # points of the grid of phi; twice as many change the figures of the benchmark by less than its chance
SHARES = (0.0, 0.3, 0.6)
KINDS = 2  # phi and q were learned from the same values: two degrees of freedom less, which only short spans notice
ENDS = 2  # of the span before: where it begins and where it ends were both found by looking for trouble
JITTER = 1e-9
# Residuals below it are rounding; it also keeps a series without any noise finite.
LEAST_SQUARES = 1e-18
NORMAL, BEFORE, AFTER = range(3)


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of two spans as a mixture of bivariate t distributions, one for each kind of noise.

    Attributes:
        weights: Of each component, shape (components,); their sum is 1.
        means: The levels before and after, shape (components, 2).
        covariances: Their scale matrices, shape (components, 2, 2).
        freedoms: Degrees of freedom, shape (components,).
        evidence: The logarithm of the marginal likelihood over all components, up to a constant.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    freedoms: Floats
    evidence: float

    def chance_above(self, share: float, shift: float = 0.0) -> float:
        """Return the chance that the level after is above `share` times the level before, plus `shift`."""
        contrast = np.array([-share, 1.0])
        middle = self.means @ contrast - shift
        spread = np.sqrt(np.einsum("i,kij,j->k", contrast, self.covariances, contrast))
        return float(self.weights @ stdtr(self.freedoms, middle / spread))


@dataclass(frozen=True, slots=True)
class Noise:
    """Kinds of noise at given times.

    Attributes:
        whiten: What makes each kind independent, shape (components, points, points).
        half_logs: Half the logarithm of each covariance's determinant, shape (components,).
    """

    whiten: Floats
    half_logs: Floats

    @classmethod
    def at(cls, times: Floats) -> Noise:
        """Return every kind of noise at times in windows, shape (points,)."""
        memory = np.sin(np.pi / 2 * (np.arange(MEMORIES) + 0.5) / MEMORIES)[:, None, None, None]
        share = np.array(SHARES)[None, :, None, None]
        lags, same = np.abs(times[:, None] - times[None, :]), np.eye(len(times))
        kinds = (1.0 - share) * memory**lags + share * same + JITTER * same
        factors = np.linalg.cholesky(kinds.reshape(-1, len(times), len(times)))
        return cls(np.linalg.inv(factors), np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1))


def compare_levels(noise: Noise, values: Floats, spans: Floats) -> Levels:
    """Return the levels of a series before and after a change.

    A span of normal values shows how the series moves by itself. It has a level of its own, or the same as the span
    before: what looked like trouble may have been an excursion that ends by itself. Both are in the mixture. The level
    of its own costs 3/2 log(points) for each end of the trouble, the penalty of a step whose place was searched for
    (Zhang & Siegmund, Biometrics 63, 2007).

    Args:
        noise: At the times of the values.
        values: Finite values, shape (points,).
        spans: NORMAL, BEFORE or AFTER of each value, shape (points,); none of them needs to be NORMAL.
    """
    before, after = spans == BEFORE, spans == AFTER
    if not (spans == NORMAL).any():
        return _mix([_fit(noise, np.column_stack([before, after]), values, 0.0)])
    penalty = ENDS * 1.5 * np.log(len(values))
    return _mix(
        [
            _fit(noise, np.column_stack([before, after, spans == NORMAL]), values, penalty),
            _fit(noise, np.column_stack([~after, after]), values, 0.0),
        ]
    )


def _fit(noise: Noise, design: Floats, values: Floats, penalty: float) -> tuple[Floats, ...]:
    """Return log likelihood, means, scale matrices and degrees of freedom by generalized least squares.

    Args:
        noise: At the times of the values.
        design: The spans that have a level of their own, shape (points, levels); the first two are before and after.
        values: Shape (points,).
        penalty: What is taken off the log likelihood.
    """
    points, levels = design.shape
    both = np.column_stack([design.astype(np.float64), values])
    white = noise.whiten @ both
    products = np.einsum("kni,knj->kij", white, white)
    normal, right = products[:, :-1, :-1], products[:, :-1, -1]
    inverse = np.linalg.inv(normal)
    means = np.einsum("kij,kj->ki", inverse, right)
    squares = np.maximum(products[:, -1, -1] - np.einsum("ki,ki->k", means, right), LEAST_SQUARES)
    freedom = points - levels
    likelihood = -noise.half_logs - np.linalg.slogdet(normal)[1] / 2 - freedom / 2 * np.log(squares) - penalty
    left = max(1, freedom - KINDS)
    scale = inverse[:, :2, :2] * (squares / left)[:, None, None]
    return likelihood, means[:, :2], scale, np.full(len(scale), float(left))


def _mix(fits: Sequence[tuple[Floats, ...]]) -> Levels:
    likelihood, means, covariances, freedoms = (np.concatenate(parts) for parts in zip(*fits, strict=True))
    evidence = float(logsumexp(likelihood))
    return Levels(np.exp(likelihood - evidence), means, covariances, freedoms, evidence)
