"""Series as arrays: a batch is every series of one signal on one time grid, NaN where there is no data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Grid:
    """Equally spaced moments: `start` in Unix seconds, `step` in seconds."""

    start: float
    step: float
    points: int

    @property
    def end(self) -> float:
        """The last moment, in Unix seconds."""
        return self.start + self.step * (self.points - 1)

    def times(self) -> Floats:
        """Return every moment in Unix seconds, shape (points,)."""
        return self.start + self.step * np.arange(self.points, dtype=np.float64)

    def points_in(self, seconds: float, least: int = 1) -> int:
        """Return how many points last so long, rounded up, and no fewer than `least`."""
        return max(least, math.ceil(seconds / self.step))

    def split(self, at: float) -> int:
        """Return the first index at or after a moment in Unix seconds, between 0 and the number of points."""
        return int(np.clip(np.ceil((at - self.start) / self.step), 0, self.points))


@dataclass(frozen=True, slots=True)
class Batch:
    """All series of one signal; `values` has the shape (series, points)."""

    signal: str
    grid: Grid
    labels: tuple[Labels, ...]
    values: Floats

    def __len__(self) -> int:
        return len(self.labels)


def current(values: Floats, stale_after: int = 1) -> Floats:
    """Return each series' newest value, NaN when the last `stale_after` + 1 points hold none."""
    tail = values[:, -(stale_after + 1) :]
    if not tail.size:
        return np.full(values.shape[0], np.nan)
    there = np.isfinite(tail)
    last = tail.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    newest = tail[np.arange(tail.shape[0]), last]
    return np.where(there.any(axis=1), newest, np.nan)


def aligned(other: Batch | None, batch: Batch) -> Floats:
    """Return the newest values of another batch in this one's order, by their labels; NaN where it has none."""
    if other is None:
        return np.full(len(batch), np.nan)
    newest = dict(zip((_key(labels) for labels in other.labels), current(other.values), strict=True))
    return np.array([newest.get(_key(labels), np.nan) for labels in batch.labels], dtype=np.float64)


def _key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))


def service_of(labels: Labels, fallback: str | None = None) -> str:
    """Return the service of a series: the catalogue's, else its label `service`, else its `job`."""
    return fallback or labels.get("service") or labels.get("job") or "unknown"
