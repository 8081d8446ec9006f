"""One time series of each kind: writing is an append, the sums are made when somebody reads."""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import accumulate
from typing import NamedTuple

# Writers fold their own buffer at this size: memory stays bounded when nobody scrapes.
BUFFER_LIMIT = 512

_fold_lock = threading.RLock()


class Exemplar(NamedTuple):
    """One observation with the labels that lead to its trace."""

    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp_seconds: float


class CounterSeries:
    """A sum that only grows."""

    __slots__ = ("_lock", "exemplar", "labels", "total")

    def __init__(self, labels: tuple[tuple[str, str], ...]) -> None:
        self.labels = labels
        self.total = 0.0
        self.exemplar: Exemplar | None = None
        self._lock = threading.Lock()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`, which must not be negative."""
        with self._lock:
            self.total += amount


class GaugeSeries:
    """A value that goes up and down."""

    __slots__ = ("_lock", "labels", "value")

    def __init__(self, labels: tuple[tuple[str, str], ...]) -> None:
        self.labels = labels
        self.value = 0.0
        self._lock = threading.Lock()

    def set(self, value: float) -> None:
        """Replace the value."""
        self.value = value

    def inc(self, amount: float = 1.0) -> None:
        """Move the value by `amount`, negative to lower it."""
        with self._lock:
            self.value += amount


class HistogramSeries:
    """A classic histogram: `observe` appends, `fold` counts."""

    __slots__ = ("bounds", "counts", "exemplars", "labels", "pending", "total")

    def __init__(self, labels: tuple[tuple[str, str], ...], bounds: tuple[float, ...]) -> None:
        self.labels = labels
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        self.pending: list[float] = []

    def observe(self, value: float) -> None:
        """Count one value; list.append is atomic, so no lock is taken here."""
        pending = self.pending
        pending.append(value)
        if len(pending) >= BUFFER_LIMIT:
            self.fold()

    def observe_with(self, exemplar: Exemplar) -> None:
        """Count one value and keep it as the exemplar of its bucket."""
        self.exemplars[bisect_left(self.bounds, exemplar.value)] = exemplar
        self.observe(exemplar.value)

    def fold(self) -> None:
        """Move what is pending into the buckets."""
        with _fold_lock:
            size = len(self.pending)
            batch = self.pending[:size]
            del self.pending[:size]
            counts, bounds = self.counts, self.bounds
            for value in batch:
                counts[bisect_left(bounds, value)] += 1
            self.total += sum(batch)

    def cumulative(self) -> list[int]:
        """The bucket values as Prometheus wants them; the last one is the count."""
        return list(accumulate(self.counts))


Series = CounterSeries | GaugeSeries | HistogramSeries
