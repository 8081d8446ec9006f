"""Multiple-testing control: over all tests of one cycle the false discovery rate stays below q.

Benjamini & Hochberg, "Controlling the false discovery rate", JRSS B 57 (1995): with sorted p-values, reject the k
smallest, k = max{i: p(i) <= i q / m}. When every null hypothesis is true, the probability of any rejection is q. A
cycle every `interval` seconds with q = interval / 86400 therefore has one false finding a day over all series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

SECONDS_A_DAY = 86_400.0


def cycle_level(interval_seconds: float, a_day: float = 1.0) -> float:
    """Return the q of one cycle that allows `a_day` false findings per day, at most 0.05."""
    return min(0.05, a_day * interval_seconds / SECONDS_A_DAY)


def reject(p_values: Floats, q: float) -> NDArray[np.bool_]:
    """Return which null hypotheses are rejected, in the shape of `p_values`; NaN marks a test that was not done."""
    tested = np.isfinite(p_values)
    count = int(tested.sum())
    if not count:
        return np.zeros(p_values.shape, dtype=np.bool_)
    ordered = np.sort(p_values[tested])
    passing = np.flatnonzero(ordered <= q * np.arange(1, count + 1) / count)
    if not len(passing):
        return np.zeros(p_values.shape, dtype=np.bool_)
    return np.asarray(tested & (np.where(tested, p_values, 1.0) <= ordered[passing[-1]]), dtype=np.bool_)
