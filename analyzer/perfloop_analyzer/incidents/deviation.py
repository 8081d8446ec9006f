"""How far a signal left its own baseline: the score that causes are ranked by.

Robust deviation (BARO's RobustScorer, Pham et al., FSE 2024): d = (post - med(ref)) / IQR(ref), signed so that worse is
positive. Two changes with a reason: the post value is the mean of the three worst points rather than the maximum, so
that one wild point does not win; and the IQR has a floor (a tenth of the median, or the signal's minimum deviation),
because a flat baseline near zero would outrank every cause. The result is compressed, log1p(d), since a victim
behind a queue can deviate more than its cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

WORST = 3
MIN_REFERENCE = 4


def robust_deviation(reference: Floats, post: Floats, floor: float, *, above: bool) -> Floats:
    """Return log1p of the deviation per series; 0 where the baseline is too short to say."""
    if reference.shape[1] < MIN_REFERENCE or not post.shape[1]:
        return np.zeros(len(post))
    enough = np.isfinite(reference).sum(axis=1) >= MIN_REFERENCE
    usable = enough & np.isfinite(post).any(axis=1)
    score = np.zeros(len(post))
    if not usable.any():
        return score
    low, middle, high = np.nanpercentile(reference[usable], [25, 50, 75], axis=1)
    spread = np.maximum(high - low, np.maximum(floor, 0.1 * np.abs(middle)))
    signed = (post[usable] - middle[:, None]) / np.where(spread > 0, spread, 1.0)[:, None]
    worst = _worst(signed if above else -signed)
    score[usable] = np.log1p(np.maximum(worst, 0.0))
    return score


def _worst(signed: Floats) -> Floats:
    filled = np.where(np.isfinite(signed), signed, -np.inf)
    top = np.sort(filled, axis=1)[:, -WORST:]
    there = np.isfinite(top)
    mean: Floats = np.where(there, top, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return mean
