"""When an alert fired, from Prometheus's own series ALERTS on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perfloop_analyzer.series import Floats, Grid

    Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Episode:
    """One span in which an alert fired, in Unix seconds.

    Attributes:
        began: Whether it began within the window; else it had fired before.
        ended: Whether its end was seen; else it fires on at the end of the window.
    """

    start: float
    end: float
    began: bool
    ended: bool

    @property
    def seconds(self) -> float:
        """How long it fired within what was looked at."""
        return self.end - self.start


def find_episodes(fired: Floats, covered: Flags, grid: Grid) -> tuple[Episode, ...]:
    """Return the spans in which an alert fired.

    A gap of which Prometheus has no data at all does not end an alert that fires before and after it. Starts and ends
    are known to one step of the grid: a point stands for the step that it ends.

    Args:
        fired: 1 at each point in whose step it fired at any time, shape (points,); else 0 or NaN.
        covered: Whether Prometheus has any data of the step, shape (points,).
        grid: The points' moments.
    """
    is_firing = np.nan_to_num(fired) > 0
    seen = np.flatnonzero(covered | is_firing)
    if not is_firing.any():
        return ()
    # Without the points of which nothing is known, neighbours are what is known one after the other.
    known = is_firing[seen].astype(np.int8)
    edges = np.diff(np.concatenate(([0], known, [0])))
    times = grid.times()
    return tuple(
        Episode(
            float(times[seen[first]] - grid.step),
            float(times[seen[last - 1]]),
            began=bool(first > 0),
            ended=bool(last < len(seen)),
        )
        for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    )


def coverage(counted: Floats | None, points: int) -> Flags:
    """Return at which points Prometheus has any data, shape (points,), from a count of targets; none where it is."""
    if counted is None or not counted.size:
        return np.zeros(points, dtype=bool)
    return np.asarray(np.isfinite(counted).any(axis=0))
