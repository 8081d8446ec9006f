"""Candidates for change points: narrowest over threshold on seeded intervals, for all series together.

Seeded intervals (Kovacs, Buehlmann, Li & Munk, "Seeded binary segmentation", Biometrika 110, 2023) are a fixed, nearly
linear set of intervals in which every step is alone in at least one: layer k holds intervals of length T a^k, spread
evenly so that neighbours overlap by half. Here a = 1/2; the paper's 1/sqrt(2) gains nothing that the later refinement
of the position does not.

In each interval the mean-shift statistic |C(tau)| = sqrt(n1 n2 / n) |mean1 - mean2| / sigma is computed from cumulative
sums. Among the intervals whose best split exceeds sqrt(c log T) the narrowest is taken (Baranowski, Chen & Fryzlewicz,
"Narrowest-over-threshold detection", JRSS B 81, 2019), then the search continues left and right of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SHORTEST = 6  # points that a level must last
THRESHOLD = 1.3  # x sqrt(2 log T): about the size that noise reaches once in fifty series
MOST_STEPS = 12  # more than this in one window is noise of another kind
PLACES = 40  # splits of a long interval that are tried; the position is refined later
DECAY = 0.5


@lru_cache(maxsize=64)
def seeded_intervals(width: int, shortest: int) -> tuple[tuple[int, int], ...]:
    """Return (begin, end) of every interval over `width` points, end exclusive, shortest first."""
    found: dict[tuple[int, int], None] = {}
    length = float(width)
    while length >= shortest:
        size = min(width, round(length))
        count = 2 * -(-width // size) - 1
        spare = width - size
        for number in range(count):
            begin = round(number * spare / max(count - 1, 1))
            found[begin, begin + size] = None
        length *= DECAY
    return tuple(sorted(found, key=lambda interval: (interval[1] - interval[0], interval[0])))


def find_candidates(total: Floats, scale: Floats) -> Bools:
    """Return where each series may have stepped.

    Args:
        total: Cumulative sums, shape (series, points + 1), as `segments.cumulated` returns them.
        scale: Noise scale per series, in the signal's unit; infinite disables the search in that series.

    Returns:
        Flags of shape (series, points): True at the first point after each candidate step.
    """
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
