"""Series as arrays: a batch is every series of one signal on one time grid, NaN where there is no data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = Mapping[str, str]
T = TypeVar("T")


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


class LabelSet(tuple[Labels, ...]):  # noqa: SLOT001 - it remembers
    """The labels of a batch's series, which remember what follows from them: they are the same in the next cycle."""

    def remember(self, what: object, make: Callable[[], T]) -> T:
        """Return what `make` returns, which is called once for each name."""
        known: dict[object, T] = self.__dict__.setdefault("known", {})
        if what not in known:
            known[what] = make()
        return known[what]


def follow(labels: tuple[Labels, ...], what: object, make: Callable[[], T]) -> T:
    """Return what follows from labels, remembered where they can remember it; `what` names it."""
    return labels.remember(what, make) if isinstance(labels, LabelSet) else make()


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


def services_of(batch: Batch, fallback: str | None = None) -> list[str]:
    """Return the service of each series of a batch, as `service_of` does."""
    return follow(batch.labels, ("services", fallback), lambda: [service_of(one, fallback) for one in batch.labels])


def rows_by_service(batch: Batch, fallback: str | None = None) -> Mapping[str, list[int]]:
    """Return the rows of each service in a batch."""

    def find() -> dict[str, list[int]]:
        places: dict[str, list[int]] = {}
        for row, service in enumerate(services_of(batch, fallback)):
            places.setdefault(service, []).append(row)
        return places

    return follow(batch.labels, ("rows", fallback), find)
