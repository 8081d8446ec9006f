"""Change points: where the level of a series stepped, or its slope changed, with a p-value, for all series together.

0. `shifted_rows` is a cheap screen: for the newest k points, k = 6, 12, 24, ... up to half the window, the difference
   of means over its standard error under independent noise, and over the spread of blocks as long, which noise that
   remembers makes wide. Its bounds are low on purpose: the search decides.
1. A season inside the window is removed, and values far from the running median are clipped (heavy tails).
2. Candidates come from narrowest-over-threshold on seeded intervals (`candidates`). Most rows have none.
3. Where the segments between them are level and their residuals forget, each candidate moves to the best split between
   its neighbours; the weakest is removed while its p-value (`segments`) is above alpha.
4. Else a drift, a bend or a memory may look like a staircase: `broken_lines` chooses between levels and lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perfloop_analyzer.detectors.broken_lines import BrokenLine, fit_broken_lines
from perfloop_analyzer.detectors.candidates import SHORTEST, find_candidates
from perfloop_analyzer.detectors.preparation import close_gaps, pull_in, resolution, within_data
from perfloop_analyzer.detectors.robust import difference_scale, fill_gaps, mad_scale, quiet_nanmedian
from perfloop_analyzer.detectors.season import remove_pattern, remove_season
from perfloop_analyzer.detectors.segments import Sums, cumulated, levels, p_values_of, spans

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Standard errors beyond which a row is not made of levels in noise that forgets: of the slope within several segments
# (a drift leaves a staircase) and beside one step (rarely a drift), of the correlation of neighbours.
SLOPE_T, SLOPE_T_ALONE, MEMORY_Z = 2.0, 3.5, 3.0
MOST_PLAIN = 3  # steps; a row with more is a staircase, or deserves the better search
CHUNK = 2048  # series per pass: as many as fit the processor's cache
REACH = 25  # points that a candidate may move when it is refined
NEAREST = 2  # points between a refined candidate and its neighbours
SCREEN_BOUND, SCREEN_SPREADS = 4.0, 2.0  # standard errors; scales of the means of blocks
LONGEST_SPREAD = 24  # points: of longer blocks a window has too few to know their spread, and theirs is no larger


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """One change: the first index after it, the levels (signal's unit) on both sides of it, and its p-value.

    `is_step` is False where the level goes on without a jump and only its slope changed.
    """

    row: int
    index: int
    before: float
    after: float
    p_value: float
    is_step: bool = True


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
    there = np.isfinite(values).any(axis=1)
    size = SHORTEST
    while size <= width // 2:
        recent = newest[:, size - 1]
        gap = np.abs(recent / size - (total - recent) / (width - size))
        rows = np.flatnonzero(there & ~found & (gap > SCREEN_BOUND * scale * np.sqrt(width / (size * (width - size)))))
        if len(rows):
            found[rows] = gap[rows] > SCREEN_SPREADS * _spread_of_blocks(filled[rows], min(size, LONGEST_SPREAD))
        size *= 2
    return np.flatnonzero(found)


def _spread_of_blocks(values: Floats, size: int) -> Floats:
    """Return the robust scale of the means of blocks of `size` points of each row, shape (series,)."""
    blocks = values.shape[1] // size
    means = values[:, values.shape[1] - blocks * size :].reshape(len(values), blocks, size).mean(axis=2)
    return mad_scale(means, quiet_nanmedian(means))


def find_change_points(values: Floats, alpha: float = 1e-3) -> list[ChangePoint]:
    """Return every significant change.

    Args:
        values: Shape (series, points), equally spaced in time; NaN is a gap.
        alpha: The largest p-value of a change that is kept.

    Returns:
        The changes in order of row and index.
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
    known = np.isfinite(values).sum(axis=1)
    calm, periods = remove_season(whole)
    calm = pull_in(calm)
    steps, lines = _search(calm, whole, known, alpha)
    seasonal = np.flatnonzero((periods > 0) & steps.any(axis=1))
    if len(seasonal):
        level = levels(calm[seasonal], steps[seasonal])
        for number, row in enumerate(seasonal.tolist()):
            if row in lines:
                level[number, : known[row]] = lines[row].fit
        calm[seasonal] = pull_in(remove_pattern(whole[seasonal] - level, periods[seasonal]) + level)
        steps[seasonal], again = _search(calm[seasonal], whole[seasonal], known[seasonal], alpha)
        lines = {row: line for row, line in lines.items() if row not in set(seasonal.tolist())}
        lines |= {int(seasonal[number]): line for number, line in again.items()}
    if places is not None:
        steps = within_data(steps, places, values.shape[1])
    found = _describe(calm, steps, lines)
    if places is not None:
        found = [replace(point, index=int(places[point.row, point.index])) for point in found]
    return found


def _search(calm: Floats, raw: Floats, known: Ints, alpha: float) -> tuple[Bools, dict[int, BrokenLine]]:
    """Segment the rows of `calm`; return the steps, and by row the broken lines of those that need them.

    `raw` has the values as they were recorded, and `known` how many points of each row are no mirror image.
    """
    total = cumulated(calm)
    scale = _noise(calm)
    steps = find_candidates(total, scale)
    rows = np.flatnonzero(steps.any(axis=1))
    if not len(rows):
        return steps, {}
    steps[rows] = _refine(total[rows], _refine(total[rows], steps[rows]))
    plain = _is_plain(calm[rows], steps[rows])
    bent, rows = rows[~plain & (known[rows] >= 2 * SHORTEST)], rows[plain]
    steps[rows] = _prune(Sums(calm[rows], total[rows], cumulated(calm[rows] ** 2)), steps[rows], alpha)
    lines: dict[int, BrokenLine] = {}
    for width in np.unique(known[bent]):
        same = bent[known[bent] == width]
        fitted = fit_broken_lines(calm[same, :width], resolution(raw[same, :width]), alpha)
        lines |= dict(zip(same.tolist(), fitted, strict=True))
    steps[bent] = False
    for row, line in lines.items():
        steps[row, line.changes] = True
    return steps, lines


def _is_plain(values: Floats, steps: Bools) -> Bools:
    """Return whether the segments of each row are few and level, and their residuals forget from point to point."""
    width = values.shape[1]
    clock = np.broadcast_to(np.arange(width, dtype=np.float64), values.shape)
    inside, ticks = values - levels(values, steps), clock - levels(clock, steps)
    power = np.maximum((ticks**2).sum(axis=1), 1e-300)
    spread = np.maximum((inside**2).mean(axis=1), 1e-300)
    slope = (inside * ticks).sum(axis=1) / power
    memory = (inside[:, 1:] * inside[:, :-1]).mean(axis=1) / spread
    number = steps.sum(axis=1)
    level = np.abs(slope) <= np.where(number > 1, SLOPE_T, SLOPE_T_ALONE) * np.sqrt(spread / power)
    few = number <= MOST_PLAIN
    return np.asarray(few & level & (memory <= MEMORY_Z / np.sqrt(width)), dtype=np.bool_)


def _noise(values: Floats) -> Floats:
    """Return the noise scale of each row, from its first differences: a step contributes only once."""
    scale = np.sqrt((np.diff(values, axis=1) ** 2).mean(axis=1) / 2.0)
    return np.where(scale > 0, scale, np.inf)


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


def _describe(values: Floats, steps: Bools, lines: dict[int, BrokenLine]) -> list[ChangePoint]:
    """Return the changes of all rows in order."""
    plain = np.setdiff1d(np.flatnonzero(steps.any(axis=1)), np.fromiter(lines, dtype=np.int64, count=len(lines)))
    found = _describe_steps(values[plain], steps[plain], plain)
    for row, line in lines.items():
        found += [
            ChangePoint(
                row, int(at), float(line.before[n]), float(line.after[n]), float(line.p_values[n]), bool(line.level[n])
            )
            for n, at in enumerate(line.changes)
            if steps[row, at]
        ]
    return sorted(found, key=lambda point: (point.row, point.index))


def _describe_steps(values: Floats, steps: Bools, names: Ints) -> list[ChangePoint]:
    rows, low, at, high = spans(steps)
    total = cumulated(values)
    p_values, _, _ = p_values_of(Sums(values, total, cumulated(values**2)), steps)
    before = (total[rows, at] - total[rows, low]) / (at - low)
    after = (total[rows, high] - total[rows, at]) / (high - at)
    return [
        ChangePoint(row, index, old, new, p)
        for row, index, old, new, p in zip(
            names[rows].tolist(), at.tolist(), before.tolist(), after.tolist(), p_values.tolist(), strict=True
        )
    ]
