"""Change points: where a series' level stepped, with a p-value, over all series at once.

1. A season inside the window is taken away, and values far from the running median are pulled in (heavy tails).
2. In each seeded interval the mean-shift statistic |C(tau)| = sqrt(n1 n2 / n) |mean1 - mean2| / sigma is scanned by
   cumulative sums; narrowest-over-threshold keeps, among intervals whose best split passes sqrt(c log T), the
   narrowest (Baranowski, Chen & Fryzlewicz, JRSS B 81, 2019), then goes on left and right of it.
3. Each point moves to the best split between its neighbours; the weakest goes while its p-value is too large.
4. A slope common to all segments is fitted. If it is significant, it is taken away and the search runs again: a drift
   leaves a staircase whose treads slope, real steps leave level treads.
The p-value is that of a t test with the pooled variance around it, widened by the residuals' autocorrelation, times
the number of places the step might have been (Bonferroni).
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from analyzer.detectors.intervals import seeded_intervals
from analyzer.detectors.robust import difference_scale
from analyzer.detectors.season import remove_pattern, remove_season
from analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SHORTEST = 6  # points that a level must last
THRESHOLD = 1.3  # x sqrt(2 log T): about the size that noise reaches once in fifty series
BLOCK = 5
CLIP = 3.0
MOST_STEPS = 12  # more than this in one window is noise of another kind
SLOPE_ROUNDS = 2
SLOPE_T, SLOPE_T_ALONE = 1.0, 2.0  # a drift leaves a staircase; one step alone is rarely one
CHUNK = 2048
REACH = 25
PLACES = 40
NEAREST = 2
MOST_LAGS = 12


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """One step: the first index after it, the levels on both sides, and the chance to see as much in noise."""

    row: int
    index: int
    before: float
    after: float
    p_value: float


def find_change_points(values: Floats, alpha: float = 1e-3) -> list[ChangePoint]:
    """Return every significant step of every row, in order of row and index."""
    count, width = values.shape
    if width < 2 * SHORTEST:
        return []
    found: list[ChangePoint] = []
    for start in range(0, count, CHUNK):
        part = _chunk(values[start : start + CHUNK], alpha)
        found += [replace(point, row=point.row + start) for point in part] if start else part
    return found


def _chunk(values: Floats, alpha: float) -> list[ChangePoint]:
    """Run the search on as many rows as fit the processor's cache."""
    whole, places = close_gaps(values)
    calm, periods = remove_season(whole)
    calm = pull_in(calm)
    steps = _search(calm, alpha)
    seasonal = np.flatnonzero((periods > 0) & steps.any(axis=1))
    if len(seasonal):
        level = _levels(calm[seasonal], steps[seasonal])
        calm[seasonal] = pull_in(remove_pattern(whole[seasonal] - level, periods[seasonal]) + level)
        steps[seasonal] = _search(calm[seasonal], alpha)
    if places is not None:
        steps = _within(steps, places, values.shape[1])
    rows = np.flatnonzero(steps.any(axis=1))
    return _describe(calm[rows], steps[rows], rows, places) if len(rows) else []


def _search(values: Floats, alpha: float) -> Bools:
    """Segment, then look whether a drift tells it better; a drift is taken out of the values in place."""
    steps = _segment(values, _noise(values), alpha)
    rows = np.flatnonzero(steps.any(axis=1))
    if len(rows):
        rows = rows[_treads_slope(values[rows], steps[rows])]
    if len(rows):
        _take_drift_away(values, steps, rows, alpha)
    return steps


def _treads_slope(values: Floats, steps: Bools) -> Bools:
    """Whether the segments of a row share a slope that is worth a closer look."""
    clock = np.broadcast_to(np.arange(values.shape[1], dtype=np.float64), values.shape)
    inside, ticks = values - _levels(values, steps), clock - _levels(clock, steps)
    power = np.maximum((ticks**2).sum(axis=1), 1e-300)
    slope = (inside * ticks).sum(axis=1) / power
    error = np.sqrt((inside**2).mean(axis=1) / power)
    bound = np.where(steps.sum(axis=1) > 1, SLOPE_T, SLOPE_T_ALONE)
    return np.asarray(np.abs(slope) > bound * error, dtype=np.bool_)


def close_gaps(values: Floats) -> tuple[Floats, Ints | None]:
    """Move each row's data together and fill its end with a mirror image; return where each point came from."""
    there = np.isfinite(values)
    if there.all():
        return values, None
    width = values.shape[1]
    order = np.argsort(~there, axis=1, kind="stable")
    known = there.sum(axis=1, keepdims=True)
    place = np.arange(width)
    mirror = np.clip(2 * known - 1 - place, 0, width - 1)
    source = np.take_along_axis(order, np.where(place < known, place, mirror), axis=1)
    whole = np.nan_to_num(np.take_along_axis(values, source, axis=1))
    return whole, np.where(place < known, order, width)


def _within(steps: Bools, places: Ints, width: int) -> Bools:
    """Forget steps in or beside the mirror image."""
    known = (places < width).sum(axis=1, keepdims=True)
    return np.asarray(steps & (np.arange(width) <= known - NEAREST), dtype=np.bool_)


def pull_in(values: Floats) -> Floats:
    """Pull every point to within CLIP scales of the medians of its own and the neighbouring blocks."""
    count, width = values.shape
    blocks = -(-width // BLOCK)
    padded = np.concatenate([values, np.repeat(values[:, -1:], blocks * BLOCK - width, axis=1)], axis=1)
    middles = np.median(padded.reshape(count, blocks, BLOCK), axis=2)
    wide = np.concatenate([middles[:, :1], middles, middles[:, -1:]], axis=1)
    low = np.minimum(np.minimum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    high = np.maximum(np.maximum(wide[:, :-2], wide[:, 1:-1]), wide[:, 2:])
    room = CLIP * np.nan_to_num(difference_scale(values))[:, None]
    at = np.repeat(np.arange(blocks), BLOCK)[:width]
    return np.asarray(np.clip(values, (low - room)[:, at], (high + room)[:, at]), dtype=np.float64)


def _noise(values: Floats) -> Floats:
    """The scale of the pulled-in values' moves; a step enters it once."""
    scale = np.sqrt((np.diff(values, axis=1) ** 2).mean(axis=1) / 2.0)
    return np.where(scale > 0, scale, np.inf)


def _segment(values: Floats, scale: Floats, alpha: float) -> Bools:
    total = _cumulated(values)
    steps = _candidates(total, scale)
    for _ in range(2):
        steps = _refine(total, steps)
    rows = np.flatnonzero(steps.any(axis=1))
    if len(rows):
        part = values[rows]
        steps[rows] = _prune(_Sums(part, total[rows], _cumulated(part**2)), steps[rows], alpha)
    return steps


def _cumulated(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _candidates(total: Floats, scale: Floats) -> Bools:
    """Narrowest over threshold, all rows at once."""
    width = total.shape[1] - 1
    bound = THRESHOLD * np.sqrt(2.0 * np.log(width))
    intervals = seeded_intervals(width, 2 * SHORTEST)
    best = np.empty((len(intervals), len(total)))
    place = np.empty((len(intervals), len(total)), dtype=np.int64)
    for number, (begin, end) in enumerate(intervals):
        best[number], place[number] = _scan(total, begin, end)
    alive = best > bound * scale
    begins = np.array([begin for begin, _ in intervals])[:, None]
    ends = np.array([end for _, end in intervals])[:, None]
    steps = np.zeros((len(total), width), dtype=np.bool_)
    rows = np.flatnonzero(alive.any(axis=0))
    for _ in range(MOST_STEPS):
        if not len(rows):
            break
        found = place[np.argmax(alive[:, rows], axis=0), rows]
        steps[rows, found] = True
        alive[:, rows] &= (begins >= found) | (ends <= found)
        rows = rows[alive[:, rows].any(axis=0)]
    return steps


@lru_cache(maxsize=256)
def _weights(size: int, stride: int) -> tuple[Floats, Floats]:
    """Return the points left of each split of an interval, and what turns a difference of sums into the statistic."""
    left = np.arange(SHORTEST, size - SHORTEST + 1, stride, dtype=np.float64)
    return left, np.sqrt(size / (left * (size - left)))


def _scan(total: Floats, begin: int, end: int) -> tuple[Floats, Ints]:
    """Return one interval's best split for every row, in the data's unit; long ones are looked at in strides.

    Near its peak the statistic of a long interval is flat, and the place is refined later.
    """
    size = end - begin
    stride = max(1, size // PLACES)
    left, weight = _weights(size, stride)
    whole = (total[:, end] - total[:, begin]) / size
    rest = total[:, begin + SHORTEST : end - SHORTEST + 1 : stride] - total[:, begin, None]
    rest -= whole[:, None] * left
    np.abs(rest, out=rest)
    rest *= weight
    at = np.argmax(rest, axis=1)
    return rest[np.arange(len(total)), at], begin + SHORTEST + stride * at


def _spans(steps: Bools) -> tuple[Ints, Ints, Ints, Ints]:
    """Return row, previous step (or 0), index and next step (or T) of every step."""
    rows, at = np.nonzero(steps)
    first = np.concatenate([[True], rows[1:] != rows[:-1]]) if len(rows) else np.zeros(0, dtype=np.bool_)
    last = np.concatenate([first[1:], [True]]) if len(rows) else first
    low = np.where(first, 0, np.concatenate([[0], at[:-1]])) if len(rows) else at
    high = np.where(last, steps.shape[1], np.concatenate([at[1:], [0]])) if len(rows) else at
    return rows, low, at, high


def _refine(total: Floats, steps: Bools) -> Bools:
    """Move every step to the best split within REACH of it and between its neighbours."""
    rows, low, at, high = _spans(steps)
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


def _prune(sums: "_Sums", steps: Bools, alpha: float) -> Bools:
    """Take each row's weakest step away while it is weaker than alpha, then let the others settle."""
    busy = np.arange(len(steps))
    while len(busy):
        p_values, rows, at = _p_values(sums.take(busy), steps[busy])
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


@dataclass(frozen=True, slots=True)
class _Sums:
    """Rows with their cumulative sums and sums of squares: any stretch costs one subtraction."""

    values: Floats
    total: Floats
    squares: Floats

    def take(self, rows: Ints) -> "_Sums":
        """Return some rows; all rows in order are not copied."""
        if len(rows) == len(self.values):
            return self
        return _Sums(self.values[rows], self.total[rows], self.squares[rows])


def _p_values(sums_of: _Sums, steps: Bools) -> tuple[Floats, Ints, Ints]:
    """Return each step's p-value, its row and its index."""
    rows, low, at, high = _spans(steps)
    total, squares = sums_of.total, sums_of.squares
    left, right = (at - low).astype(np.float64), (high - at).astype(np.float64)
    sums = total[rows, at] - total[rows, low], total[rows, high] - total[rows, at]
    parts = squares[rows, high] - squares[rows, low]
    spread = np.maximum(parts - sums[0] ** 2 / left - sums[1] ** 2 / right, 0.0)
    freedom = np.maximum(left + right - 2.0, 1.0)
    wide = _inflation(sums_of.values, steps)[rows]
    shift = np.abs(sums[0] / left - sums[1] / right)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = shift / np.sqrt(spread / freedom * (1.0 / left + 1.0 / right) * wide)
    size = np.where(np.isfinite(size), size, np.where(shift > 0, np.inf, 0.0))
    freedom = np.maximum(freedom / wide, 2.0)
    return np.minimum(1.0, 2.0 * stdtr(freedom, -size) * steps.shape[1]), rows, at


def _inflation(values: Floats, steps: Bools) -> Floats:
    """Return 1 + 2 sum of the residuals' first positive autocorrelations: how much less each point tells."""
    rest = values - _levels(values, steps)
    power = np.maximum((rest**2).mean(axis=1), 1e-300)
    width = values.shape[1]
    factor, going = np.ones(len(values)), np.ones(len(values), dtype=np.bool_)
    for lag in range(1, min(MOST_LAGS, width // 4) + 1):
        r = (rest[:, lag:] * rest[:, :-lag]).mean(axis=1) / power
        going &= r > 2.0 / np.sqrt(width)
        if not going.any():
            break
        factor += np.where(going, 2.0 * r, 0.0)
    return factor


def _levels(values: Floats, steps: Bools) -> Floats:
    """Return each point's segment mean."""
    marks = steps.copy()
    marks[:, 0] = True
    begins = np.flatnonzero(marks.ravel())
    sizes = np.diff(np.append(begins, values.size))
    means = np.add.reduceat(values.ravel(), begins) / sizes
    return np.repeat(means, sizes).reshape(values.shape)


def _take_drift_away(values: Floats, steps: Bools, rows: Ints, alpha: float) -> None:
    """Where one slope and fewer steps tell the row better than steps alone, use them (in place).

    The slope within the treads starts one search, the slope of the whole row another; each is repeated with the slope
    that its own steps leave.
    """
    part = values[rows]
    none = np.zeros_like(steps[rows])
    best = _criterion(part - _levels(part, steps[rows]), steps[rows], 0)
    for start in (steps[rows], none):
        guess = start
        for _ in range(SLOPE_ROUNDS):
            slope = _slope(part, guess)
            level = part - slope[:, None] * np.arange(part.shape[1])
            guess = _segment(level, _noise(level), alpha)
            cost = _criterion(level - _levels(level, guess), guess, 1)
            won = cost < best
            best[won] = cost[won]
            steps[rows[won]], values[rows[won]] = guess[won], level[won]


def _slope(values: Floats, steps: Bools) -> Floats:
    """Return the slope that all segments of a row share."""
    clock = np.broadcast_to(np.arange(values.shape[1], dtype=np.float64), values.shape)
    ticks = clock - _levels(clock, steps)
    return np.asarray((values * ticks).sum(axis=1) / np.maximum((ticks**2).sum(axis=1), 1e-300), dtype=np.float64)


def _criterion(rest: Floats, steps: Bools, extra: int) -> Floats:
    """Bayes' information criterion: a step costs two parameters, a slope one."""
    width = rest.shape[1]
    cost = (2 * steps.sum(axis=1) + extra) * np.log(width)
    return np.asarray(width * np.log(np.maximum((rest**2).mean(axis=1), 1e-300)) + cost, dtype=np.float64)


def _describe(values: Floats, steps: Bools, names: Ints, places: Ints | None) -> list[ChangePoint]:
    rows, low, at, high = _spans(steps)
    total = _cumulated(values)
    p_values, _, _ = _p_values(_Sums(values, total, _cumulated(values**2)), steps)
    before = (total[rows, at] - total[rows, low]) / (at - low)
    after = (total[rows, high] - total[rows, at]) / (high - at)
    index_of = at if places is None else places[names[rows], at]
    return [
        ChangePoint(row, index, old, new, p)
        for row, index, old, new, p in zip(
            names[rows].tolist(), index_of.tolist(), before.tolist(), after.tolist(), p_values.tolist(), strict=True
        )
    ]
