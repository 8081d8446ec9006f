"""Seasonal profile: the usual value of a series at each time of day, learned from days of history.

For each phase of the day, the median and the MAD over all days of that phase and its two neighbours; the scale of a
phase with n samples is shrunk towards the series' usual scale with weight n / (n + 4). A profile is used only where the
spread around it is below EARNED of the spread around a constant, and from MIN_DAYS days of history on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.robust import GAUSS, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats, Grid

DAY_SECONDS = 86_400.0
MIN_DAYS = 3
EARNED = 0.7
SHRINK = 4.0  # samples that the prior counts for


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
    near = np.concatenate([np.roll(folded, 1, axis=2), folded, np.roll(folded, -1, axis=2)], axis=1)
    middle = quiet_nanmedian(near)
    spread = GAUSS * quiet_nanmedian(np.abs(near - middle[:, None, :]))
    return _shrunk(near, middle, spread, grid.step)


def _shrunk(near: Floats, middle: Floats, spread: Floats, step: float) -> Profile:
    flat = near.reshape(len(near), -1)
    center = quiet_nanmedian(flat)
    scale = GAUSS * quiet_nanmedian(np.abs(flat - center[:, None]))
    usual = quiet_nanmedian(spread)
    earned = usual < EARNED * scale
    count = np.isfinite(near).sum(axis=1)
    weight = count / (count + SHRINK)
    expected = np.where(count >= MIN_DAYS, middle, np.nan)
    wide = weight * np.nan_to_num(spread) + (1 - weight) * usual[:, None]
    keep = earned[:, None]
    return Profile(step, np.where(keep, expected, np.nan), np.where(keep, np.fmax(wide, usual[:, None]), np.nan))
