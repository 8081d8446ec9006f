"""Multiple-testing control: among all tests of one cycle, the false discovery rate stays below q.

Benjamini & Hochberg, JRSS B 57 (1995): with p-values sorted, reject the k smallest, k = max{i: p(i) <= i q / m}. When
nothing at all is wrong, the chance of any rejection is q. A cycle every `interval` seconds with q = interval / 86400
therefore finds, on days on which nothing happens, at most one thing a day over all series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

SECONDS_A_DAY = 86_400.0


def cycle_level(interval_seconds: float, a_day: float = 1.0) -> float:
    """Return the q of one cycle that allows so many false findings a day."""
    return min(0.05, a_day * interval_seconds / SECONDS_A_DAY)


def reject(p_values: Floats, q: float) -> NDArray[np.bool_]:
    """Return which tests stand; NaN is a test that was not made."""
    made = np.isfinite(p_values)
    count = int(made.sum())
    if not count:
        return np.zeros(p_values.shape, dtype=np.bool_)
    ordered = np.sort(p_values[made])
    passing = np.flatnonzero(ordered <= q * np.arange(1, count + 1) / count)
    if not len(passing):
        return np.zeros(p_values.shape, dtype=np.bool_)
    return np.asarray(made & (np.where(made, p_values, 1.0) <= ordered[passing[-1]]), dtype=np.bool_)
