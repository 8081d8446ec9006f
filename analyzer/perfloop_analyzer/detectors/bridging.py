"""The part of a series that a forecast may read, without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.robust import GAUSS, quiet_nanmedian

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

DROP = 0.5  # of the range, at least, is a fall within one step to be a restart
UNUSUAL = 8.0  # median steps, at least
# Lengths of what begins within the history, in points: a few, because the models of a length are computed once.
LENGTHS = np.unique(np.round(32 * 2.0 ** (np.arange(40) / 4)).astype(np.int64))


def since_last_drop(row: Floats) -> Floats:
    """Return the points since a series fell at once, as a process does that is started again; else all.

    It counts only when the series is higher now than ever before: below a level from which it fell, it may fall again.
    """
    places = np.flatnonzero(np.isfinite(row))
    if not len(places):
        return row
    known = row[places]
    steps = np.diff(known)
    deep = max(UNUSUAL * GAUSS * float(quiet_nanmedian(np.abs(steps)[None, :])[0]), DROP * float(np.ptp(known)))
    falls = np.flatnonzero(steps < -deep)
    if len(falls) and known[: falls[-1] + 1].max() < known[-1]:
        return row[places[falls[-1] + 1] :]
    return row


def bridge_gaps(row: Floats) -> Floats:
    """Return a series from its first value on, gaps bridged by lines as noisy as the points around them.

    What begins within the history is cut to one of LENGTHS; a series without enough points is empty.
    """
    there = np.isfinite(row)
    known = row[int(np.argmax(there)) :]
    if not there.any() or len(known) < LENGTHS[0]:
        return np.zeros(0)
    if len(known) < len(row):
        known = known[-int(LENGTHS[np.searchsorted(LENGTHS, len(known), side="right") - 1]) :]
    there = np.isfinite(known)
    if there.all():
        return known
    points, clock = known[there], np.arange(len(known))
    filled = np.interp(clock, clock[there], points)
    # Of white noise, a point less the mean of its neighbours has one and a half times the variance.
    apart = (points[1:-1] - (points[:-2] + points[2:]) / 2.0) / np.sqrt(1.5)
    if len(apart):
        filled[~there] += np.random.default_rng(0).choice(apart, int((~there).sum()))
    return np.asarray(filled, dtype=np.float64)
