"""Seasonal profile: the usual value of a series at each time of day, learned from days of history.

For each phase of the day, the median and the MAD over all days of that phase and its two neighbours; the scale of a
phase known from n days is shrunk towards the series' usual scale with weight n / (n + 4). A phase is used from MIN_DAYS
distinct days with data on: the phase and its neighbours of one day are one day, and a day of the grid without data is
none. A profile is used only where the spread around it is below EARNED of the spread around a constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.robust import GAUSS, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats, Grid

Ints = NDArray[np.int64]

DAY_SECONDS = 86_400.0
MIN_DAYS = 3
EARNED = 0.7
SHRINK = 4.0  # days that the prior counts for


@dataclass(frozen=True, slots=True)
class Profile:
    """Expected value and scale, shape (series, phases), in the signal's unit; rows of NaN have no season.

    `step` is the length of a phase in seconds.
    """

    step: float
    expected: Floats
    scale: Floats

    def at(self, moment: float) -> tuple[Floats, Floats]:
        """Return expected value and scale of every series at a moment, in Unix seconds."""
        phase = int((moment % DAY_SECONDS) / self.step) % self.expected.shape[1]
        return self.expected[:, phase], self.scale[:, phase]

    def rest(self, values: Floats, grid: Grid) -> Floats:
        """Return values of the grid less what was expected; series that have no season are as they are."""
        phases = ((grid.times() % DAY_SECONDS) / self.step).astype(np.int64) % self.expected.shape[1]
        seasonal = np.isfinite(self.expected).any(axis=1)
        left = values.copy()
        left[seasonal] -= self.expected[np.ix_(seasonal, phases)]
        return left


def learn_profile(values: Floats, grid: Grid) -> Profile:
    """Return the profiles of the history `values`, shape (series, points), on its grid."""
    phases = round(DAY_SECONDS / grid.step)
    days = grid.points // phases if phases else 0
    nothing = np.full((len(values), max(phases, 1)), np.nan)
    if days < MIN_DAYS or not len(values):
        return Profile(grid.step, nothing, nothing)
    kept = values[:, grid.points - days * phases :]
    offset = round(((grid.end - (days * phases - 1) * grid.step) % DAY_SECONDS) / grid.step) % phases
    folded = np.roll(kept.reshape(len(values), days, phases), offset, axis=2)
    near = np.stack([np.roll(folded, 1, axis=2), folded, np.roll(folded, -1, axis=2)], axis=1)
    seen = np.isfinite(near).any(axis=1).sum(axis=1)
    pooled = np.where((seen >= MIN_DAYS)[:, None, :], near.reshape(len(values), -1, phases), np.nan)
    return _shrunk(pooled, seen, grid.step)


def _shrunk(pooled: Floats, seen: Ints, step: float) -> Profile:
    """Return the profile of `pooled`, shape (series, samples of a phase, phases), with `seen` days of each phase."""
    middle = quiet_nanmedian(pooled)
    spread = GAUSS * quiet_nanmedian(np.abs(pooled - middle[:, None, :]))
    flat = pooled.reshape(len(pooled), -1)
    center = quiet_nanmedian(flat)
    scale = GAUSS * quiet_nanmedian(np.abs(flat - center[:, None]))
    usual = quiet_nanmedian(spread)
    weight = seen / (seen + SHRINK)
    wide = np.fmax(weight * spread + (1 - weight) * usual[:, None], usual[:, None])
    earned = (usual < EARNED * scale)[:, None]
    return Profile(step, np.where(earned, middle, np.nan), np.where(earned, wide, np.nan))
