"""Robust anomaly score: 1.0 lies exactly on the edge of the band, 0 in its middle, one number for every signal.

Expected value y^ and scale s come from the seasonal profile (median and MAD per phase of day or week) where there is
one, else from the median and the difference scale or MAD, whichever is larger, of the window before the newest
points. Band = y^ +- k s with s floored by the signal's minimum deviation and by 2 % of the level; score = |y - y^| /
(k s), 0 in the direction that does not hurt and until MIN_SAMPLES are there. To be a finding, the newest PERSIST
points must all be outside on one side: the p-value is that of the smallest of them under a Student t of DEGREES
degrees of freedom, whose heavy tails cover what Gaussian tails promise and metrics do not keep. The idea of a score
of 1 on the boundary is vmanomaly's; the scale is Hampel's (1974).
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

PERSIST = 3
GUARD = 12
MIN_SAMPLES = 24
DEGREES = 8.0
RELATIVE_FLOOR = 0.02


@dataclass(frozen=True, slots=True)
class Band:
    """What a series' newest points are expected to be, and its scale."""

    expected: Floats
    scale: Floats


@dataclass(frozen=True, slots=True)
class Anomalies:
    """Per series: score, band, and the p-value of the newest points; p is NaN where there is too little data."""

    score: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    p_value: Floats
    value: Floats


def local_band(values: Floats) -> Band:
    """Take the band from the window before the newest GUARD points."""
    reference = values[:, :-GUARD]
    if reference.shape[1] < MIN_SAMPLES:
        unknown = np.full(len(values), np.nan)
        return Band(unknown, unknown)
    expected = quiet_nanmedian(reference)
    scale = np.fmax(mad_scale(reference, expected), difference_scale(reference))
    few = np.isfinite(reference).sum(axis=1) < MIN_SAMPLES
    return Band(np.where(few, np.nan, expected), np.where(few, np.nan, scale))


def find_anomalies(values: Floats, band: Band, direction: Direction, floor: float, level: float) -> Anomalies:
    """Score the newest points of every series against its band; `level` is the p-value at the band's edge."""
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
