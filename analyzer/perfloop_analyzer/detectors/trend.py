"""Trend: whether there is one (Mann-Kendall) and its slope (Theil-Sen), corrected for autocorrelation.

Mann-Kendall (Mann 1945, Kendall 1975): S = sum over i<j of sign(x_j - x_i), with ties t
Var S = (n(n-1)(2n+5) - sum t(t-1)(2t+5)) / 18, and Z = (S -+ 1) / sqrt(Var S). Positive autocorrelation makes every
series look like a trend, so the variance is multiplied by Hamed & Rao's factor (J. Hydrology 204, 1998), from the
autocorrelation of the ranks after the trend is removed. The slope is the median of all pairwise slopes (Theil 1950, Sen
1968); its interval comes from the same S: the pairwise slopes of rank (N -+ z sqrt(Var S)) / 2. Series are reduced to
block medians first, which bounds the cost and averages a short season out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from perfloop_analyzer.detectors.robust import quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

BLOCKS = 32
MIN_BLOCKS = 8
CHUNK = 2048  # series per pass
Z95 = 1.959963984540054
DAY_SECONDS = 86_400.0
LEAST_DAYS = 3


@dataclass(frozen=True, slots=True)
class Trends:
    """Per series: slope per second, its 95% interval, p-value, and the fitted end value; NaN with too little data."""

    slope: Floats
    low: Floats
    high: Floats
    p_value: Floats
    fit: Floats


def find_trends(values: Floats, step: float) -> Trends:
    """Test every series for a trend and estimate its slope.

    Args:
        values: Shape (series, points).
        step: Seconds between two points.
    """
    blocks, span = block_medians(values, BLOCKS)
    outcome = np.full((5, len(values)), np.nan)
    enough = np.isfinite(blocks).sum(axis=1) >= max(MIN_BLOCKS, (3 * blocks.shape[1]) // 4)
    rows = np.flatnonzero(enough)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        outcome[:, part] = _chunk(blocks[part], span * step)
    return Trends(*outcome)


def without_day(values: Floats, step: float) -> Floats:
    """Return the series less the median, over the days, of each time of day's distance from its day's median.

    Blocks that are no part of a day would make of it a slow wave. Less than LEAST_DAYS are left as they are.

    Args:
        values: Shape (series, points).
        step: Seconds between two points.
    """
    phases = round(DAY_SECONDS / step)
    days = values.shape[1] // phases if phases else 0
    if days < LEAST_DAYS or not len(values):
        return values
    rest = values.shape[1] - days * phases
    folded = values[:, rest:].reshape(len(values), days, phases)
    pattern = quiet_nanmedian(folded - quiet_nanmedian(folded, axis=2)[:, :, None])
    pattern = np.nan_to_num(pattern - quiet_nanmedian(pattern)[:, None])
    return np.asarray(values - np.tile(pattern, (1, days + 1))[:, phases - rest :], dtype=np.float64)


def block_medians(values: Floats, count: int) -> tuple[Floats, float]:
    """Return about `count` block medians per row, the newest block complete, and the points of one block."""
    width = values.shape[1]
    span = max(1, width // count)
    kept = values[:, width - span * (width // span) :]
    if span == 1:
        return kept, 1.0
    return quiet_nanmedian(kept.reshape(len(values), width // span, span), axis=2), float(span)


def _chunk(blocks: Floats, seconds: float) -> Floats:
    count = blocks.shape[1]
    first, second = np.triu_indices(count, 1)
    rises = blocks[:, second] - blocks[:, first]
    there = np.isfinite(rises)
    slopes = np.where(there, rises / ((second - first) * seconds), np.nan)
    score = np.where(there, np.sign(rises), 0.0).sum(axis=1)
    numbers = np.isfinite(blocks).sum(axis=1).astype(np.float64)
    slope = quiet_nanmedian(slopes)
    variance = _variance(blocks, numbers) * _hamed_rao(blocks - slope[:, None] * seconds * np.arange(count), numbers)
    deviation = np.sqrt(np.maximum(variance, 1e-12))
    z = np.where(score == 0, 0.0, (score - np.sign(score)) / deviation)
    low, high = _interval(slopes, there.sum(axis=1), deviation)
    middle = quiet_nanmedian(blocks - slope[:, None] * seconds * np.arange(count))
    fit = middle + slope * seconds * (count - 0.5)
    return np.stack([slope, low, high, 2.0 * ndtr(-np.abs(z)), fit])


def _variance(blocks: Floats, numbers: Floats) -> Floats:
    """Return Var S of each row, corrected for ties."""
    ordered = np.sort(blocks, axis=1)
    same = ordered[:, 1:] == ordered[:, :-1]
    ties = np.zeros(len(blocks))
    if same.any():
        for row in np.flatnonzero(same.any(axis=1)):
            _, groups = np.unique(ordered[row][np.isfinite(ordered[row])], return_counts=True)
            ties[row] = (groups * (groups - 1) * (2 * groups + 5)).sum()
    return np.asarray((numbers * (numbers - 1) * (2 * numbers + 5) - ties) / 18.0, dtype=np.float64)


def _hamed_rao(detrended: Floats, numbers: Floats) -> Floats:
    """Return Hamed & Rao's factor: 1 + 2/(n(n-1)(n-2)) x sum over lags k of (n-k)(n-k-1)(n-k-2) r_k, at least 1."""
    ranks = np.argsort(np.argsort(detrended, axis=1), axis=1).astype(np.float64)
    centered = np.where(np.isfinite(detrended), ranks - ranks.mean(axis=1, keepdims=True), 0.0)
    power = np.maximum((centered**2).sum(axis=1), 1e-12)
    total = np.zeros(len(detrended))
    bound = Z95 / np.sqrt(numbers)
    for lag in range(1, detrended.shape[1] // 4 + 1):
        r = (centered[:, lag:] * centered[:, :-lag]).sum(axis=1) / power
        rest = numbers - lag
        total += np.where(np.abs(r) > bound, rest * (rest - 1) * (rest - 2) * r, 0.0)
    weight = np.maximum(numbers * (numbers - 1) * (numbers - 2), 1.0)
    return np.asarray(np.maximum(1.0, 1.0 + 2.0 * total / weight), dtype=np.float64)


def _interval(slopes: Floats, pairs: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    ordered = np.sort(slopes, axis=1)
    last = np.maximum(pairs - 1, 0)
    down = np.clip(np.floor((pairs - Z95 * deviation) / 2), 0, last).astype(np.int64)
    up = np.clip(np.ceil((pairs + Z95 * deviation) / 2), 0, last).astype(np.int64)
    rows = np.arange(len(slopes))
    return ordered[rows, down], ordered[rows, up]
