"""Time series of each type. A write is an append or a short lock; buckets and sums are computed when read."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels = tuple[tuple[str, str], ...]

# A writer folds its buffer at this size, so that memory stays bounded when nothing scrapes.
BUFFER_LIMIT = 512


class Exemplar(NamedTuple):
    """One observation, with the labels that identify its trace."""

    labels: Labels
    value: float
    timestamp_seconds: float


class CounterSeries:
    """A counter."""

    __slots__ = ("_lock", "labels", "text", "total")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.total = 0.0
        self.text: Any = None  # the renderer's cache between scrapes
        self._lock = threading.Lock()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`; negative numbers and NaN are ignored, as a counter never falls."""
        if amount >= 0:
            with self._lock:
                self.total += amount

    def state(self) -> list[Any]:
        """Return what another process needs to add this series to its own: the total."""
        return [self.total]

    def absorb(self, state: Sequence[Any]) -> None:
        """Add the state of the same series of another process."""
        self.inc(state[0])

    def reset(self) -> None:
        """Start from zero, as a forked process does."""
        self._lock = threading.Lock()
        self.total = 0.0


class GaugeSeries:
    """A gauge."""

    __slots__ = ("_lock", "labels", "text", "updated_seconds", "value")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.value = 0.0
        self.updated_seconds = 0.0
        self.text: Any = None
        self._lock = threading.Lock()

    def set(self, value: float) -> None:
        """Set the value."""
        with self._lock:
            self.value = value
            self.updated_seconds = time.time()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`, which may be negative."""
        with self._lock:
            self.value += amount

    def state(self) -> list[Any]:
        """Return the value and when it was set, in unix time."""
        with self._lock:
            return [self.value, self.updated_seconds]

    def absorb(self, state: Sequence[Any]) -> None:
        """Add the state of the same series of another process: gauges of workers are summed."""
        with self._lock:
            self.value += state[0]

    def reset(self) -> None:
        """Start from zero, as a forked process does."""
        self._lock = threading.Lock()
        self.value = self.updated_seconds = 0.0


class LatestGaugeSeries(GaugeSeries):
    """A gauge of which only the newest value counts when several processes have one."""

    __slots__ = ()

    def absorb(self, state: Sequence[Any]) -> None:
        """Take the other process's value when it is newer."""
        with self._lock:
            if state[1] >= self.updated_seconds:
                self.value, self.updated_seconds = state[0], state[1]

    def reset(self) -> None:
        """Keep the value: what was set before a fork still holds after it."""
        self._lock = threading.Lock()


class HistogramSeries:
    """A classic histogram: `observe` appends to a buffer, and folding sorts the buffer into the buckets."""

    __slots__ = ("_lock", "bounds", "counts", "exemplars", "labels", "pending", "text", "total")

    def __init__(self, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.labels = labels
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        self.pending: list[float] = []
        self.text: Any = None
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Record one value, without a lock: list.append is atomic."""
        pending = self.pending
        pending.append(value)
        # Another thread that holds the lock is folding already: a writer never waits.
        if len(pending) >= BUFFER_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def observe_all(self, values: list[float]) -> None:
        """Record many values."""
        with self._lock:
            self.pending.extend(values)
            self._fold()

    def keep_exemplar(self, exemplar: Exemplar) -> None:
        """Store an exemplar for the bucket of its value."""
        self.exemplars[bisect_left(self.bounds, exemplar.value)] = exemplar

    def _fold(self) -> None:
        size = len(self.pending)
        batch = self.pending[:size]
        del self.pending[:size]
        counts, total = self.counts, self.total
        for bucket in map(bisect_left, repeat(self.bounds), batch):
            counts[bucket] += 1
        # In order of recording, not sum(batch): the sum's bits must not depend on when it was read.
        for value in batch:
            total += value
        self.total = total

    def read(self) -> tuple[list[int], float]:
        """Return a consistent snapshot: cumulative bucket counts (the last is the total count), and the sum."""
        with self._lock:
            if self.pending:
                self._fold()
            return list(accumulate(self.counts)), self.total

    def state(self) -> list[Any]:
        """Return a consistent snapshot: bucket counts (not cumulative), sum and exemplars."""
        with self._lock:
            if self.pending:
                self._fold()
            return [list(self.counts), self.total, [[bucket, *kept] for bucket, kept in self.exemplars.copy().items()]]

    def absorb(self, state: Sequence[Any]) -> None:
        """Add the state of the same series of another process."""
        counts, total, exemplars = state
        with self._lock:
            self.counts = [mine + other for mine, other in zip(self.counts, counts, strict=True)]
            self.total += total
            for bucket, labels, value, timestamp in exemplars:
                known = self.exemplars.get(bucket)
                if known is None or known.timestamp_seconds < timestamp:
                    pairs = tuple((name, text) for name, text in labels)
                    self.exemplars[bucket] = Exemplar(pairs, value, timestamp)

    def reset(self) -> None:
        """Start from zero, as a forked process does."""
        self._lock = threading.Lock()
        self.counts = [0] * len(self.counts)
        self.total = 0.0
        self.exemplars.clear()
        self.pending.clear()


Series = CounterSeries | GaugeSeries | HistogramSeries
