"""A cheap screen before the search for change points: which rows' newest part differs from what came before.

For the newest k points, k = 6, 12, 24, ... up to half the window, the difference of means over its standard error under
independent noise, one pass of cumulative sums. The bound is low on purpose: the search itself decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.robust import difference_scale, fill_gaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats

SHORTEST = 6
BOUND = 4.0


def shifted_rows(values: Floats) -> NDArray[np.int64]:
    """Return the rows that deserve the search."""
    width = values.shape[1]
    if width < 4 * SHORTEST:
        return np.empty(0, dtype=np.int64)
    filled = fill_gaps(values)
    scale = difference_scale(filled)
    total = filled.sum(axis=1)
    newest = np.cumsum(filled[:, ::-1], axis=1)
    found = np.zeros(len(values), dtype=np.bool_)
    size = SHORTEST
    while size <= width // 2:
        recent = newest[:, size - 1]
        gap = np.abs(recent / size - (total - recent) / (width - size))
        found |= gap > BOUND * scale * np.sqrt(width / (size * (width - size)))
        size *= 2
    return np.flatnonzero(found & np.isfinite(values).any(axis=1))
