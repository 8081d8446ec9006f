"""A second opinion on a step that neighbouring points' resemblance cannot fool: a t test on the means of blocks.

Once a search has fitted segments to autocorrelated noise, the residuals look independent and its p-value is too
small. Means of BLOCK points, longer than most metrics remember, are nearly independent; their spread within the two
sides says what chance does to a level (the batch-means method; Schmeiser, Operations Research 30, 1982). Fewer blocks
than LEAST before the step, or none after it, give p = 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

BLOCK = 12
LEAST = 5


def block_p_value(values: Floats, index: int) -> float:
    """Return the chance of a difference as large between the two sides of an index."""
    before, after = _means(values[:index][::-1]), _means(values[index:])
    if len(before) < LEAST or not len(after):
        return 1.0
    freedom = len(before) + len(after) - 2
    spread = ((before - before.mean()) ** 2).sum() + ((after - after.mean()) ** 2).sum()
    error = np.sqrt(spread / freedom * (1.0 / len(before) + 1.0 / len(after)))
    shift = abs(float(before.mean() - after.mean()))
    if error == 0:
        return 0.0 if shift else 1.0
    return float(2.0 * stdtr(freedom, -shift / error))


def _means(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    return np.asarray(known[: len(known) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1), dtype=np.float64)
