"""Change points: where the level of a series stepped, with a p-value, for all series together.

0. `shifted_rows` is a cheap screen: for the newest k points, k = 6, 12, 24, ... up to half the window, the difference
   of means over its standard error under independent noise. Its bound is low on purpose: the search decides.
1. A season inside the window is removed, and values far from the running median are clipped (heavy tails).
2. Candidates come from narrowest-over-threshold on seeded intervals (`candidates`).
3. Each candidate moves to the best split between its neighbours; the weakest is removed while its p-value (`segments`)
   is above alpha.
4. A slope common to all segments is fitted. If the Bayesian information criterion prefers it, it is removed and the
   search runs again: a drift looks like a staircase whose treads slope, real steps have level treads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.candidates import SHORTEST, find_candidates
from perfloop_analyzer.detectors.preparation import close_gaps, pull_in, within_data
from perfloop_analyzer.detectors.robust import difference_scale, fill_gaps
from perfloop_analyzer.detectors.season import remove_pattern, remove_season
from perfloop_analyzer.detectors.segments import Sums, cumulated, levels, p_values_of, spans

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SLOPE_ROUNDS = 2
SLOPE_T, SLOPE_T_ALONE = 1.0, 2.0  # a drift leaves a staircase; one step alone is rarely one
CHUNK = 2048  # series per pass: as many as fit the processor's cache
REACH = 25  # points that a candidate may move when it is refined
NEAREST = 2  # points between a refined candidate and its neighbours
SCREEN_BOUND = 4.0  # standard errors


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """One step: the first index after it, the levels (signal's unit) on both sides, and its p-value."""

    row: int
    index: int
    before: float
    after: float
    p_value: float


def shifted_rows(values: Floats) -> Ints:
    """Return the rows of `values`, shape (series, points), whose newest part differs enough to run the search on."""
    width = values.shape[1]
    if width < 4 * SHORTEST:
        return np.empty(0, dtype=np.int64)
    filled = fill_gaps(values)
    scale = difference_scale(filled)
    total = filled.sum(axis=1)
    newest = np.cumsum(filled[:, ::-1], axis=1)
    found = np.zeros(len(values), dtype=np.bool_)
    size = SHORTEST
    while size <= width // 2:
        recent = newest[:, size - 1]
        gap = np.abs(recent / size - (total - recent) / (width - size))
        found |= gap > SCREEN_BOUND * scale * np.sqrt(width / (size * (width - size)))
        size *= 2
    return np.flatnonzero(found & np.isfinite(values).any(axis=1))


def find_change_points(values: Floats, alpha: float = 1e-3) -> list[ChangePoint]:
    """Return every significant step.

    Args:
        values: Shape (series, points), equally spaced in time; NaN is a gap.
        alpha: The largest p-value of a step that is kept.

    Returns:
        The steps in order of row and index.
    """
    count, width = values.shape
    if width < 2 * SHORTEST:
        return []
    found: list[ChangePoint] = []
    for start in range(0, count, CHUNK):
        part = _chunk(values[start : start + CHUNK], alpha)
        found += [replace(point, row=point.row + start) for point in part] if start else part
    return found


def _chunk(values: Floats, alpha: float) -> list[ChangePoint]:
    """Search one chunk of rows."""
    whole, places = close_gaps(values)
    calm, periods = remove_season(whole)
    calm = pull_in(calm)
    steps = _search(calm, alpha)
    seasonal = np.flatnonzero((periods > 0) & steps.any(axis=1))
    if len(seasonal):
        level = levels(calm[seasonal], steps[seasonal])
        calm[seasonal] = pull_in(remove_pattern(whole[seasonal] - level, periods[seasonal]) + level)
        steps[seasonal] = _search(calm[seasonal], alpha)
    if places is not None:
        steps = within_data(steps, places, values.shape[1])
    rows = np.flatnonzero(steps.any(axis=1))
    return _describe(calm[rows], steps[rows], rows, places) if len(rows) else []


def _search(values: Floats, alpha: float) -> Bools:
    """Segment, then check whether a drift explains the row better; a drift is removed from `values` in place."""
    steps = _segment(values, _noise(values), alpha)
    rows = np.flatnonzero(steps.any(axis=1))
    if len(rows):
        rows = rows[_treads_slope(values[rows], steps[rows])]
    if len(rows):
        _take_drift_away(values, steps, rows, alpha)
    return steps


def _treads_slope(values: Floats, steps: Bools) -> Bools:
    """Return whether the segments of each row share a slope that is worth testing."""
    clock = np.broadcast_to(np.arange(values.shape[1], dtype=np.float64), values.shape)
    inside, ticks = values - levels(values, steps), clock - levels(clock, steps)
    power = np.maximum((ticks**2).sum(axis=1), 1e-300)
    slope = (inside * ticks).sum(axis=1) / power
    error = np.sqrt((inside**2).mean(axis=1) / power)
    bound = np.where(steps.sum(axis=1) > 1, SLOPE_T, SLOPE_T_ALONE)
    return np.asarray(np.abs(slope) > bound * error, dtype=np.bool_)


def _noise(values: Floats) -> Floats:
    """Return the noise scale of each row, from its first differences: a step contributes only once."""
    scale = np.sqrt((np.diff(values, axis=1) ** 2).mean(axis=1) / 2.0)
    return np.where(scale > 0, scale, np.inf)


def _segment(values: Floats, scale: Floats, alpha: float) -> Bools:
    total = cumulated(values)
    steps = find_candidates(total, scale)
    for _ in range(2):
        steps = _refine(total, steps)
    rows = np.flatnonzero(steps.any(axis=1))
    if len(rows):
        part = values[rows]
        steps[rows] = _prune(Sums(part, total[rows], cumulated(part**2)), steps[rows], alpha)
    return steps


def _refine(total: Floats, steps: Bools) -> Bools:
    """Move every step to the best split within REACH of it and between its neighbours."""
    rows, low, at, high = spans(steps)
    better = np.zeros_like(steps)
    if not len(rows):
        return better
    place = at[:, None] + np.arange(-REACH, REACH + 1)
    left, right = place - low[:, None], high[:, None] - place
    valid = (left >= NEAREST) & (right >= NEAREST)
    mean = (total[rows, high] - total[rows, low]) / (high - low)
    inside = np.clip(place, 0, steps.shape[1] - 1)
    rest = np.abs(total[rows[:, None], inside] - total[rows, low][:, None] - mean[:, None] * left)
    rest = np.where(valid, rest / np.sqrt(np.where(valid, left * right, 1)), -1.0)
    better[rows, place[np.arange(len(rows)), np.argmax(rest, axis=1)]] = True
    return better


def _prune(sums: Sums, steps: Bools, alpha: float) -> Bools:
    """Remove each row's weakest step while its p-value is above alpha; the others move to their best positions."""
    busy = np.arange(len(steps))
    while len(busy):
        p_values, rows, at = p_values_of(sums.take(busy), steps[busy])
        order = np.lexsort((p_values, rows))
        last = np.append(rows[order][1:] != rows[order][:-1], True)
        worst = order[last]
        weak = worst[p_values[worst] > alpha]
        if not len(weak):
            break
        steps[busy[rows[weak]], at[weak]] = False
        busy = busy[rows[weak]]
        steps[busy] = _refine(sums.total[busy], steps[busy])
        busy = busy[steps[busy].any(axis=1)]
    return steps


def _take_drift_away(values: Floats, steps: Bools, rows: Ints, alpha: float) -> None:
    """Where one slope and fewer steps explain a row better than steps alone, use them; changes the arguments.

    One search starts from the slope within the segments, another from that of the whole row; each is repeated with the
    slope that its own steps leave.
    """
    part = values[rows]
    none = np.zeros_like(steps[rows])
    best = _criterion(part - levels(part, steps[rows]), steps[rows], 0)
    for start in (steps[rows], none):
        guess = start
        for _ in range(SLOPE_ROUNDS):
            slope = _slope(part, guess)
            level = part - slope[:, None] * np.arange(part.shape[1])
            guess = _segment(level, _noise(level), alpha)
            cost = _criterion(level - levels(level, guess), guess, 1)
            won = cost < best
            best[won] = cost[won]
            steps[rows[won]], values[rows[won]] = guess[won], level[won]


def _slope(values: Floats, steps: Bools) -> Floats:
    """Return the least-squares slope per point that all segments of a row share."""
    clock = np.broadcast_to(np.arange(values.shape[1], dtype=np.float64), values.shape)
    ticks = clock - levels(clock, steps)
    return np.asarray((values * ticks).sum(axis=1) / np.maximum((ticks**2).sum(axis=1), 1e-300), dtype=np.float64)


def _criterion(rest: Floats, steps: Bools, extra: int) -> Floats:
    """Return the Bayesian information criterion (Schwarz, 1978): a step costs two parameters, a slope one."""
    width = rest.shape[1]
    cost = (2 * steps.sum(axis=1) + extra) * np.log(width)
    return np.asarray(width * np.log(np.maximum((rest**2).mean(axis=1), 1e-300)) + cost, dtype=np.float64)


def _describe(values: Floats, steps: Bools, names: Ints, places: Ints | None) -> list[ChangePoint]:
    rows, low, at, high = spans(steps)
    total = cumulated(values)
    p_values, _, _ = p_values_of(Sums(values, total, cumulated(values**2)), steps)
    before = (total[rows, at] - total[rows, low]) / (at - low)
    after = (total[rows, high] - total[rows, at]) / (high - at)
    index_of = at if places is None else places[names[rows], at]
    return [
        ChangePoint(row, index, old, new, p)
        for row, index, old, new, p in zip(
            names[rows].tolist(), index_of.tolist(), before.tolist(), after.tolist(), p_values.tolist(), strict=True
        )
    ]
