"""Student's t distribution, for any positive number of degrees of freedom, whole or not.

P(|T| > t) is the regularised incomplete beta function I_x(df/2, 1/2) at x = df / (df + t²) (Abramowitz and Stegun
26.5.27), and that is a continued fraction (DLMF 8.17.22), computed by the modified Lentz method (Thompson and Barnett
1986).
"""

from __future__ import annotations

import math
from functools import lru_cache

# Of the continued fraction: it converges in a few dozen steps for every df that two groups of runs can have.
_STEPS = 300
_PRECISION = 1e-12
_TINY = 1e-300
_NEWTON_STEPS = 100
_LARGEST_T = 1e6


def two_sided_p(t: float, freedom: float) -> float:
    """Return the probability of a value as far from 0 as `t`, or farther, with `freedom` degrees of freedom."""
    if math.isinf(t):
        return 0.0
    if math.isinf(freedom):
        return math.erfc(abs(t) / math.sqrt(2))
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


@lru_cache(maxsize=65536)
def critical_t(p: float, freedom: float) -> float:
    """Return the t whose two-sided probability is `p` (above 0, below 1); at most a million or so."""
    low = 0.0
    high = 1.0
    while two_sided_p(high, freedom) > p and high < _LARGEST_T:
        low, high = high, 2 * high
    # The probability is a convex function of t above 0: Newton's steps from below never pass the solution.
    t = low
    for _ in range(_NEWTON_STEPS):
        step = (two_sided_p(t, freedom) - p) / (2 * _density(t, freedom))
        t = min(t + step, high)
        if step <= _PRECISION * t:
            break
    return t


def _density(t: float, freedom: float) -> float:
    if math.isinf(freedom):
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    return math.exp(log_scale - (freedom + 1) / 2 * math.log1p(t * t / freedom))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The fraction converges fast below this point; above it, the complement does.
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(value - before) < _PRECISION * abs(value):
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
