"""Series as arrays: one batch is every series of one signal on one time grid, NaN where there is no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Grid:
    """The moments a query is asked for."""

    start: float
    step: float
    points: int

    @property
    def end(self) -> float:
        """The last moment."""
        return self.start + self.step * (self.points - 1)

    def times(self) -> Floats:
        """Every moment, as seconds since the epoch."""
        return self.start + self.step * np.arange(self.points, dtype=np.float64)

    def split(self, at: float) -> int:
        """The first index at or after a moment."""
        return int(np.clip(np.ceil((at - self.start) / self.step), 0, self.points))


@dataclass(frozen=True, slots=True)
class Batch:
    """All series of one signal: `values` is series x points."""

    signal: str
    grid: Grid
    labels: tuple[Labels, ...]
    values: Floats

    def __len__(self) -> int:
        return len(self.labels)


def empty_batch(signal: str, grid: Grid) -> Batch:
    """A batch without a series: the query was answered, and nothing was there."""
    return Batch(signal, grid, (), np.empty((0, grid.points)))


def current(values: Floats, stale_after: int = 1) -> Floats:
    """Return each series' newest value, NaN when the last `stale_after` + 1 points hold none."""
    tail = values[:, -(stale_after + 1) :]
    if not tail.size:
        return np.full(values.shape[0], np.nan)
    there = np.isfinite(tail)
    last = tail.shape[1] - 1 - np.argmax(there[:, ::-1], axis=1)
    newest = tail[np.arange(tail.shape[0]), last]
    return np.where(there.any(axis=1), newest, np.nan)


def service_of(labels: Labels, fallback: str | None = None) -> str:
    """Return whose series it is: its service label, else its job, else what the catalogue says."""
    return fallback or labels.get("service") or labels.get("job") or "unknown"
