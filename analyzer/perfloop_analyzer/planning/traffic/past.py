"""What a past says at all: values that are no rates are left out, and what carries no forecast is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_base.quantities import span

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

MOST = 1e15  # requests per second: no service answers more
LEAST_POINTS = 16
LEAST_KNOWN = 0.5  # of the points since the first value
STALE_POINTS = 3  # without a value at the end
STOPPED_POINTS, STOPPED_REQUESTS = 3, 10.0  # without a request, and that were to be expected in that time
LONGER = 2.0  # times the longest pause before


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no forecast, in one sentence."""

    reason: str


def known_rates(values: Floats) -> Floats:
    """Return the values that can be rates; NaN for negative ones and those beyond MOST, which no counter yields."""
    with np.errstate(invalid="ignore"):
        return np.where((values >= 0) & (values <= MOST), values, np.nan)


def first_known(rates: Floats) -> int:
    """Return the first point of a series that is known; its length where none is."""
    known = np.isfinite(rates)
    return int(np.argmax(known)) if known.any() else len(rates)


def refuse_unknown(values: Floats, rates: Floats, step: float) -> Refusal | None:
    """Return why nothing is known of a series, as it was read and as `known_rates` returns it."""
    known = np.isfinite(rates)
    if not known.any():
        bad = int((~np.isnan(values)).sum())
        what = f"none of its {bad} values is a rate: a rate is 0 or more" if bad else "the past has no value"
        return Refusal(f"no forecast: {what}")
    age = len(rates) - 1 - int(np.flatnonzero(known)[-1])
    if age >= STALE_POINTS:
        return Refusal(f"no forecast: the newest value is {span(age * step)} old")
    if not np.nanmax(rates):
        return Refusal(f"no forecast: there was no request in {span((len(rates) - first_known(rates)) * step)}")
    return None


def refuse_sparse(rates: Floats, step: float) -> Refusal | None:
    """Return why a series of which something is known carries no forecast: too few values, or it has stopped."""
    known = np.isfinite(rates)
    count, since = int(known.sum()), len(rates) - first_known(rates)
    if count < LEAST_POINTS:
        return Refusal(f"no forecast: the past has {count} values, and {LEAST_POINTS} are the least")
    if count < LEAST_KNOWN * since:
        return Refusal(f"no forecast: of the {since} values of the past {since - count} are missing")
    return _refuse_stopped(rates[known], step)


def _refuse_stopped(rates: Floats, step: float) -> Refusal | None:
    """Refuse a series that has stopped for longer than ever before: that it goes on is not in its past."""
    ends = np.flatnonzero(rates > 0)
    pause = len(rates) - 1 - int(ends[-1])
    if pause < STOPPED_POINTS or pause * step * float(np.median(rates[ends])) < STOPPED_REQUESTS:
        return None
    earlier = int(np.diff(ends).max(initial=1)) - 1
    if pause <= LONGER * earlier:
        return None
    before = f"the longest pause before was {span(earlier * step)}" if earlier else "it never paused before"
    return Refusal(f"no forecast: no request for {span(pause * step)}, and {before}")


def fill_gaps(rates: Floats) -> Floats:
    """Return series, shape (series, points), whose gaps are bridged by straight lines."""
    filled = rates.copy()
    for row in np.flatnonzero(~np.isfinite(rates).all(axis=1)):
        known = np.flatnonzero(np.isfinite(rates[row]))
        filled[row] = np.interp(np.arange(rates.shape[1]), known, rates[row, known])
    return filled
