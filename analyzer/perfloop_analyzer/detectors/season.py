"""Seasons: what the history taught moves within a window, and the window's own period.

`learned_movement` is the first. For the second, the period is found by autocorrelation and the median of each phase is
subtracted.

What is slower than the period is removed by a moving average of one period, so that a step or a drift is not mistaken
for a season. The autocorrelation of the rest, computed by FFT (Wiener-Khinchin theorem), must peak at the period, and
the phases must explain more of the variance than chance does, by an F test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import fdtrc

from perfloop_analyzer.detectors.robust import GAUSS, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.detectors.seasonal_profile import Profile
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SHORTEST = 4  # points of a period
LEAST_CORRELATION = 0.25
LEVEL = 1e-4  # of the F test
NEARLY_BEST = 0.85  # of the highest peak: multiples of a period peak as high, the first is meant


def learned_movement(profile: Profile, times: Floats) -> Floats:
    """Return how a learned season moves each series around its mean over a window; 0 where a series has no season."""
    line = learned_line(profile, times)
    return np.asarray(line - line.mean(axis=1, keepdims=True), dtype=np.float64)


def learned_line(profile: Profile, times: Floats) -> Floats:
    """Return what a learned season expects over a window.

    Args:
        profile: The expected values, shape (series, phases).
        times: The window's points in Unix seconds, shape (points,), in order.

    Returns:
        Shape (series, points), in the signal's unit; 0 where a series has no season. A profile is a staircase of phases
        of some minutes; between the beginnings of two phases it is a straight line, so that no step is put in.
    """
    first = np.floor(times[0] / profile.step) * profile.step
    knots = first + profile.step * np.arange(np.floor((times[-1] - first) / profile.step) + 2)
    expected = np.stack([profile.at(float(knot))[0] for knot in knots], axis=1)
    place = (times - first) / profile.step
    left = np.minimum(place.astype(np.int64), len(knots) - 2)
    line = expected[:, left] + (place - left) * (expected[:, left + 1] - expected[:, left])
    return np.where(np.isfinite(line).all(axis=1, keepdims=True), line, 0.0)


def remove_season(values: Floats) -> tuple[Floats, Ints]:
    """Return the series without their season, and each one's period in points, 0 for none."""
    periods = find_periods(values)
    calm = values
    for period in np.unique(periods[periods > 0]):
        rows = np.flatnonzero(periods == period)
        pattern, significant = _pattern(values[rows], int(period))
        if calm is values:
            calm = values.copy()
        calm[rows[significant]] -= pattern[significant]
        periods[rows[~significant]] = 0
    return calm, periods


def remove_pattern(values: Floats, periods: Ints) -> Floats:
    """Return the series without the season of a known period; `periods` is in points, per series."""
    calm = values.copy()
    for period in np.unique(periods[periods > 0]):
        rows = np.flatnonzero(periods == period)
        calm[rows] -= _pattern(values[rows], int(period))[0]
    return calm


def find_periods(values: Floats) -> Ints:
    """Return the lag in points of the first high peak of each series' autocorrelation, 0 where there is none."""
    width = values.shape[1]
    longest = width // 4
    if longest <= SHORTEST:
        return np.zeros(len(values), dtype=np.int64)
    calm = _detrended(values, longest)
    spectrum = rfft(calm, n=next_fast_len(width + longest + 2, real=True), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    correlation = irfft(power, n=next_fast_len(width + longest + 2, real=True), axis=1)[:, : longest + 2]
    correlation /= np.maximum(correlation[:, :1], 1e-300)
    inner = correlation[:, SHORTEST : longest + 1]
    peak = (inner >= correlation[:, SHORTEST - 1 : longest]) & (inner >= correlation[:, SHORTEST + 1 : longest + 2])
    height = np.where(peak, inner, -1.0)
    best = height.max(axis=1, keepdims=True)
    first = np.argmax(height >= NEARLY_BEST * best, axis=1)
    period = SHORTEST + first
    fade = 1.0 - period / width
    # Between two seasons lies a trough; the correlation of steps and of noise that remembers falls with small bumps.
    trough = np.minimum.accumulate(correlation, axis=1)[np.arange(len(values)), period]
    top = np.minimum(best[:, 0], best[:, 0] - trough)
    return np.where(top >= LEAST_CORRELATION * fade, period, 0).astype(np.int64)


def _detrended(values: Floats, span: int) -> Floats:
    """Return the series minus a centred moving average, clipped where a step leaves large values."""
    calm = values - moving_average(values, span)
    scale = GAUSS * np.median(np.abs(calm[:, ::3]), axis=1, keepdims=True)
    return np.clip(calm, -3 * scale, 3 * scale)


def moving_average(values: Floats, span: int) -> Floats:
    """Return the centred moving average over `span` points; at the ends the window shrinks."""
    width = values.shape[1]
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
    at = np.arange(width)
    low, high = np.maximum(0, at - span // 2), np.minimum(width, at - span // 2 + span)
    return np.asarray((total[:, high] - total[:, low]) / (high - low), dtype=np.float64)


def _pattern(values: Floats, period: int) -> tuple[Floats, Bools]:
    count, width = values.shape
    rest = values - moving_average(values, period)
    cycles = -(-width // period)
    padded = np.full((count, cycles * period), np.nan)
    padded[:, :width] = rest
    folded = padded.reshape(count, cycles, period)
    phase = quiet_nanmedian(folded)
    phase -= phase.mean(axis=1, keepdims=True)
    pattern = np.tile(phase, cycles)[:, :width]
    left = ((rest - pattern) ** 2).sum(axis=1)
    whole = (rest**2).sum(axis=1)
    ratio = ((whole - left) / (period - 1)) / np.maximum(left / (width - period), 1e-300)
    return pattern, fdtrc(period - 1, width - period, np.maximum(ratio, 0.0)) < LEVEL
