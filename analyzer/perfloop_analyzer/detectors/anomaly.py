"""Robust anomaly score: 1 on the edge of the expected band, 0 in its middle, comparable between signals.

The expected value y^ and the scale s come from the seasonal profile (median and MAD per phase of the day) where there
is one, else from the window before the newest points: its median, and its MAD or difference scale, whichever is larger.
The band is y^ +- h, h = max(k s, minimum deviation of the signal, 2% of the level), with k the quantile of Student's t
for the level of the cycle. Score = |y - y^| / h; it is 0 in the direction without a limit and below MIN_SAMPLES points.

For a finding the newest PERSIST points must all be outside, on one side. The p-value is that of the smallest of them
under Student's t with DEGREES degrees of freedom: metrics have heavier tails than a Gaussian. The score of 1 at the
boundary follows VictoriaMetrics' vmanomaly; the MAD as a scale is Hampel's (1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from perfloop_analyzer.detectors.robust import difference_scale, mad_scale, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats
    from perfloop_base.thresholds import Direction

PERSIST = 3  # points
GUARD = 12  # newest points that the local band leaves out, so that an anomaly does not widen its own band
MIN_SAMPLES = 24
DEGREES = 8.0
RELATIVE_FLOOR = 0.02  # of the level


@dataclass(frozen=True, slots=True)
class Band:
    """Expected value and scale of each series, shape (series,), in the signal's unit; NaN where unknown."""

    expected: Floats
    scale: Floats


@dataclass(frozen=True, slots=True)
class Anomalies:
    """Per series: score, band and newest value, and the p-value of the newest points; NaN with too little data."""

    score: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    p_value: Floats
    value: Floats


def local_band(values: Floats) -> Band:
    """Return the band of the window before the newest GUARD points; `values` has the shape (series, points)."""
    reference = values[:, :-GUARD]
    if reference.shape[1] < MIN_SAMPLES:
        unknown = np.full(len(values), np.nan)
        return Band(unknown, unknown)
    expected = quiet_nanmedian(reference)
    scale = np.fmax(mad_scale(reference, expected), difference_scale(reference))
    few = np.isfinite(reference).sum(axis=1) < MIN_SAMPLES
    return Band(np.where(few, np.nan, expected), np.where(few, np.nan, scale))


def find_anomalies(values: Floats, band: Band, direction: Direction, floor: float, level: float) -> Anomalies:
    """Score the newest points of every series against its band.

    Args:
        values: Shape (series, points).
        band: One expected value and scale per series.
        direction: On which side of the band values are bad.
        floor: The smallest half width of a band, in the signal's unit.
        level: The p-value at the edge of the band.
    """
    least = np.fmax(floor, RELATIVE_FLOOR * np.abs(band.expected))
    width = float(stdtrit(DEGREES, 1.0 - level / 2))
    half = np.fmax(width * np.nan_to_num(band.scale), least)
    half = np.where(np.isnan(band.expected) | ~(half > 0), np.nan, half)
    sign = 1.0 if direction == "above" else -1.0
    tail = values[:, -PERSIST:]
    excess = sign * (tail - band.expected[:, None]) / half[:, None]
    newest = excess[:, -1]
    steady = np.where(np.isfinite(excess).all(axis=1), excess.min(axis=1), np.nan)
    p_value = np.where(np.isfinite(steady), 2.0 * stdtr(DEGREES, -np.fmax(steady, 0.0) * width), np.nan)
    score = np.where(np.isfinite(newest), np.fmax(newest, 0.0), 0.0)
    return Anomalies(score, band.expected, band.expected - half, band.expected + half, p_value, tail[:, -1])
