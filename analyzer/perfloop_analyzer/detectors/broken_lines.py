"""Which model explains a row: levels or lines, how many, and noise that remembers how long.

For rows whose plain segmentation leaves a slope or a memory in the residuals, five to ten times dearer than it:

1. Places where the row may change are the highest peaks of two scans at dyadic scales: differences of neighbouring
   means (steps) and second differences of means (kinks).
2. For levels and for lines, each with several correlations rho of neighbouring noise, dynamic programming over these
   places gives the best fit with 0 to MOST changes (Bai & Perron, J. Appl. Econometrics 18, 2003; AR(1) noise as in
   Chakar et al., Bernoulli 23, 2017).
3. The modified Bayesian information criterion (Zhang & Siegmund, Biometrics 63, 2007) decides between all of them, and
   smooth curves without a change (polynomials of degree 2 and 3) compete: growth that bends slowly is no change.
4. Each change moves to its best place, and stays while an F test of its two segments keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc

from perfloop_analyzer.detectors.segments import cumulated
from perfloop_analyzer.detectors.whitened import Costs

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

RHOS = (0.0, 0.4, 0.7, 0.9, 0.98)  # 0.98: nearly a random walk
MOST = 12  # changes in a row
LEAST = 5  # points of a segment; a fifth of a short row's points
PEAKS_OF_STEPS, PEAKS_OF_KINKS = 8, 4  # places per scale
PATIENCE = 2  # more changes without success: a bump takes two, one of them alone explains nothing
REACH = 10  # points that a change may move when it is refined
LOCATION = 3.0  # x log n that a change costs besides its parameters, as in Zhang & Siegmund's equation 5
PARTED = 2.0  # standard deviations of the noise: four of the gap between two lines of thirty points
CHUNK = 32  # rows per pass: the costs of all pairs of places fit the processor's cache


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """The changes of one row: indices, p-values, and the fit's values before and after each, all of one length.

    `fit` has the shape (points,). `level` is whether the level stepped at each change; else only its slope changed.
    """

    changes: Ints
    p_values: Floats
    before: Floats
    after: Floats
    level: Bools
    fit: Floats


@dataclass(slots=True)
class _Best:
    """The best model so far of each row: its criterion, its costs, and the path of its changes."""

    criterion: Floats
    costs: list[Costs | None]
    changes: list[Ints]


def fit_broken_lines(values: Floats, resolution: Floats, alpha: float) -> list[BrokenLine]:
    """Return the changes of each row.

    Args:
        values: Shape (rows, points), without gaps.
        resolution: Shape (rows,): the smallest difference that the row's raw values have, in the signal's unit.
        alpha: The largest p-value of a change that is kept.
    """
    found: list[BrokenLine] = []
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK]
        center, scale = np.median(part, axis=1), part.std(axis=1)
        scale = np.where(scale > 0, scale, 1.0)
        plain = (part - center[:, None]) / scale[:, None]
        # Rounding to q is noise of variance q^2 / 12; less is not distinguishable from none.
        least = np.maximum((resolution[start : start + CHUNK] / scale) ** 2 / 12.0, 1e-6)
        best = _choose(plain, least)
        found += [_line(best, row, part.shape[1], (center[row], scale[row]), alpha) for row in range(len(part))]
    return found


def find_places(values: Floats) -> Bools:
    """Return where each row may change, in the shape of `values`."""
    width = values.shape[1]
    total = cumulated(values)
    marks = np.zeros(values.shape, dtype=np.bool_)
    size = 2
    while size <= max(2, width // 6):
        at = np.arange(size, width - size + 1)
        _mark_peaks(marks, total[:, at + size] - 2 * total[:, at] + total[:, at - size], size, PEAKS_OF_STEPS)
        if 4 * size <= width:
            at = np.arange(2 * size, width - 2 * size + 1)
            right = total[:, at + 2 * size] - 2 * total[:, at + size] + total[:, at]
            left = total[:, at] - 2 * total[:, at - size] + total[:, at - 2 * size]
            _mark_peaks(marks, right - left, 2 * size, PEAKS_OF_KINKS)
        size *= 2
    marks[:, 0] = True
    return marks


def _mark_peaks(marks: Bools, scan: Floats, first: int, count: int) -> None:
    """Mark the `count` highest peaks of a scan whose column 0 is the point `first`."""
    height = np.abs(scan)
    height = np.where(height >= _highest_near(height, max(1, first // 2)), height, 0.0)
    count = min(count, height.shape[1])
    at = np.argpartition(-height, count - 1, axis=1)[:, :count]
    rows, number = np.nonzero(np.take_along_axis(height, at, axis=1) > 0)
    marks[rows, first + at[rows, number]] = True


def _highest_near(height: Floats, reach: int) -> Floats:
    """Return the maximum within `reach` columns of each, by doubling the span that one column stands for."""
    window, span = 2 * reach + 1, 1
    wide = np.pad(height, ((0, 0), (reach, reach)))
    while 2 * span <= window:
        wide = np.maximum(wide[:, :-span], wide[:, span:])
        span *= 2
    rest = window - span
    return np.asarray(np.maximum(wide[:, : wide.shape[1] - rest], wide[:, rest:]), dtype=np.float64)


def shortest_segment(width: int) -> int:
    """Return the points that a segment has at least."""
    return max(3, min(LEAST, width // 5))


def _choose(values: Floats, least: Floats) -> _Best:
    """Return the best model of each row; `least` is the smallest variance of noise that counts, shape (rows,)."""
    count, width = values.shape
    best = _Best(np.full(count, np.inf), [None] * count, [np.empty(0, dtype=np.int64)] * count)
    places = _listed(find_places(values), width)
    for sloped in (False, True):
        for rho in RHOS:
            _try_segments(best, Costs(values, rho, sloped=sloped), places, least)
    smooth = np.min([_smooth_criterion(values, rho, least) for rho in RHOS], axis=0)
    for row in np.flatnonzero(smooth < best.criterion):
        best.changes[row] = np.empty(0, dtype=np.int64)
    return best


def _listed(marks: Bools, width: int) -> Ints:
    """Return the marked places of each row in order, shape (rows, places), filled up with the width."""
    most = int(marks.sum(axis=1).max()) + 1
    order = np.argsort(~marks, axis=1, kind="stable")[:, :most]
    order = np.pad(order, ((0, 0), (0, most - order.shape[1])))
    return np.where(np.arange(most) < marks.sum(axis=1, keepdims=True), order, width)


def _try_segments(best: _Best, costs: Costs, places: Ints, least: Floats) -> None:
    """Compare the best fits with 0 to MOST changes with what is the best so far."""
    count, width = costs.values.shape
    begin, end = places[:, :, None], places[:, None, :]
    fitted = costs(np.arange(count)[:, None, None], np.minimum(begin, width - 1), np.maximum(end, 1))
    price = np.where(end - begin >= shortest_segment(width), fitted, np.inf)
    sizes = np.log(np.maximum(end - begin, 1))
    parameters = 2 if costs.sloped else 1
    whole, length = price[:, 0, :], sizes[:, 0, :]
    paths: list[Ints] = []
    lowest, since = np.full(count, np.inf), 0
    for changes in range(MOST + 1):
        if changes:
            together = whole[:, :, None] + price
            paths.append(together.argmin(axis=1))
            pick = paths[-1][:, None, :]
            whole = np.take_along_axis(together, pick, axis=1)[:, 0]
            length = np.take_along_axis(length, paths[-1], axis=1) + np.take_along_axis(sizes, pick, axis=1)[:, 0]
        fixed = LOCATION * changes * np.log(width) + _memory_cost(costs.rho, width, changes + 1)
        criterion = _likelihood(whole[:, -1], width, least) + fixed + parameters * length[:, -1]
        for row in np.flatnonzero(criterion < best.criterion - 1e-9):
            best.criterion[row] = criterion[row]
            best.costs[row] = costs
            best.changes[row] = _trace([path[row] for path in paths], places[row])
        since = 0 if (criterion < lowest).any() else since + 1
        if since == PATIENCE:
            break
        lowest = np.minimum(lowest, criterion)


def _likelihood(rest: Floats, width: int, least: Floats) -> Floats:
    """Return -2 log likelihood up to a constant, from squared residuals."""
    return np.asarray(width * np.log(np.maximum(rest / width, least)), dtype=np.float64)


def _memory_cost(rho: float, width: int, segments: int) -> float:
    """Return what a correlation costs: one parameter, and the density of each segment's first point."""
    return float((np.log(width) if rho else 0.0) - segments * np.log(1.0 - rho**2))


def _trace(paths: list[Ints], places: Ints) -> Ints:
    """Return the changes along the best path to the last place."""
    at, found = len(places) - 1, []
    for path in reversed(paths):
        at = int(path[at])
        found.append(int(places[at]))
    return np.array(found[::-1], dtype=np.int64)


def _smooth_criterion(values: Floats, rho: float, least: Floats) -> Floats:
    """Return the criterion of the better polynomial of degree 2 or 3 over the whole row."""
    width = values.shape[1]
    first = np.sqrt(1.0 - rho**2)
    filtered = values - rho * np.pad(values[:, :-1], ((0, 0), (1, 0)))
    filtered[:, 0] *= first
    found = []
    for degree in (2, 3):
        shape = np.vander(np.linspace(-1.0, 1.0, width), degree + 1)
        design = shape - rho * np.pad(shape[:-1], ((1, 0), (0, 0)))
        design[0] *= first
        base, _ = np.linalg.qr(design)
        rest = (filtered**2).sum(axis=1) - ((filtered @ base) ** 2).sum(axis=1)
        cost = (degree + 1) * np.log(width) + _memory_cost(rho, width, 1)
        found.append(_likelihood(rest, width, least) + cost)
    return np.asarray(np.minimum(*found), dtype=np.float64)


def _line(best: _Best, row: int, width: int, unit: tuple[float, float], alpha: float) -> BrokenLine:
    """Refine and prune the changes of one row and describe them; `unit` is what was subtracted and divided by."""
    costs = best.costs[row]
    if costs is None:  # no model has a finite criterion: fewer points than one segment needs
        raise ValueError(f"a row of {width} points is too short")
    changes = _prune(costs, row, _refine(costs, row, best.changes[row], width), width, alpha)
    edges = np.array([0, *changes, width])
    begin, end = costs.ends(np.full(len(edges) - 1, row), edges[:-1], edges[1:])
    sizes = np.diff(edges)
    fit = np.concatenate([np.linspace(a, b, n) for a, b, n in zip(begin, end, sizes, strict=True)])
    jump, middle = np.abs(begin[1:] - end[:-1]), (begin + end) / 2
    # A change is a step where the lines part by more than the noise and a bend placed LEAST points beside make them, or
    # where the jump is most of what moved.
    noise = float((costs.values[row] - fit).std())
    bend = np.abs(np.diff((end - begin) / np.maximum(sizes - 1, 1)))
    level = (jump > PARTED * noise + LEAST * bend) | (jump >= np.abs(np.diff(middle)) / 2)
    p_values = _p_values(costs, row, changes, width)
    center, scale = unit
    back = [center + scale * one for one in (end[:-1], begin[1:], fit)]
    return BrokenLine(changes, p_values, back[0], back[1], level, back[2])


def _refine(costs: Costs, row: int, changes: Ints, width: int) -> Ints:
    """Move each change to the best place within REACH of it and between its neighbours, twice."""
    edges = np.array([0, *changes, width])
    least = shortest_segment(width)
    for _ in range(2):
        for at in range(1, len(edges) - 1):
            low, high = edges[at - 1], edges[at + 1]
            places = np.arange(max(low + least, edges[at] - REACH), min(high - least, edges[at] + REACH) + 1)
            if len(places):
                where = np.full(len(places), row)
                price = costs(where, np.full(len(places), low), places)
                price += costs(where, places, np.full(len(places), high))
                edges[at] = places[int(price.argmin())]
    return edges[1:-1]


def _p_values(costs: Costs, row: int, changes: Ints, width: int) -> Floats:
    """Return the p-value of each change: one segment against two by an F test, times the places where it could be."""
    edges = np.array([0, *changes, width])
    low, at, high = edges[:-2], edges[1:-1], edges[2:]
    where = np.full(len(at), row)
    apart = costs(where, low, at) + costs(where, at, high)
    parameters = 2 if costs.sloped else 1
    free = np.maximum(high - low - 2 * parameters - 1, 1)
    gain = np.maximum(costs(where, low, high) - apart, 0.0) / parameters
    ratio = gain / np.maximum(apart / free, 1e-12)
    return np.asarray(np.minimum(1.0, fdtrc(parameters, free, ratio) * width), dtype=np.float64)


def _prune(costs: Costs, row: int, changes: Ints, width: int, alpha: float) -> Ints:
    """Remove the weakest change while its p-value is above alpha.

    The variance is that of the two segments: where noise grows, its excursions are no steps.
    """
    while len(changes):
        p_values = _p_values(costs, row, changes, width)
        worst = int(p_values.argmax())
        if p_values[worst] <= alpha:
            break
        changes = np.delete(changes, worst)
    return changes
