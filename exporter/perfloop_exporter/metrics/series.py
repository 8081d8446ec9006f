"""One time series of each kind. Writing is an append or a short lock; the sums are made when somebody reads."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels = tuple[tuple[str, str], ...]

# Writers fold their own buffer at this size: memory stays bounded when nobody scrapes.
BUFFER_LIMIT = 512


class Exemplar(NamedTuple):
    """One observation with the labels that lead to its trace."""

    labels: Labels
    value: float
    timestamp_seconds: float


class CounterSeries:
    """A sum that only grows."""

    __slots__ = ("_lock", "exemplar", "labels", "text", "total")
    additive: ClassVar[bool] = True

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.total = 0.0
        self.exemplar: Exemplar | None = None
        self.text: Any = None  # what the renderer keeps between scrapes
        self._lock = threading.Lock()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`; a negative or NaN one is not added, as a counter never falls."""
        if amount >= 0:
            with self._lock:
                self.total += amount

    def state(self) -> list[Any]:
        """What another process needs to add this series to its own."""
        return [self.total]

    def absorb(self, state: Sequence[Any]) -> None:
        """Add a state of the same series from elsewhere."""
        self.inc(state[0])

    def reset(self) -> None:
        """Begin anew, as a forked worker does."""
        self._lock = threading.Lock()
        self.total = 0.0
        self.exemplar = None


class GaugeSeries:
    """A value that goes up and down."""

    __slots__ = ("_lock", "labels", "text", "updated_seconds", "value")
    additive: ClassVar[bool] = False

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.value = 0.0
        self.updated_seconds = 0.0
        self.text: Any = None
        self._lock = threading.Lock()

    def set(self, value: float) -> None:
        """Replace the value."""
        with self._lock:
            self.value = value
            self.updated_seconds = time.time()

    def inc(self, amount: float = 1.0) -> None:
        """Move the value by `amount`, negative to lower it."""
        with self._lock:
            self.value += amount

    def state(self) -> list[Any]:
        """The value and when it was set."""
        with self._lock:
            return [self.value, self.updated_seconds]

    def absorb(self, state: Sequence[Any]) -> None:
        """Add a state of the same series from elsewhere: gauges of workers add up."""
        with self._lock:
            self.value += state[0]

    def reset(self) -> None:
        """Begin anew, as a forked worker does."""
        self._lock = threading.Lock()
        self.value = self.updated_seconds = 0.0


class LatestGaugeSeries(GaugeSeries):
    """A gauge of which the newest value counts when several processes have one."""

    __slots__ = ()

    def absorb(self, state: Sequence[Any]) -> None:
        """Take the other value when it is newer."""
        with self._lock:
            if state[1] >= self.updated_seconds:
                self.value, self.updated_seconds = state[0], state[1]

    def reset(self) -> None:
        """Keep the value: what was set before a fork is as true after it."""
        self._lock = threading.Lock()


class HistogramSeries:
    """A classic histogram: `observe` appends, `fold` counts."""

    __slots__ = ("_lock", "bounds", "counts", "exemplars", "labels", "pending", "text", "total")
    additive: ClassVar[bool] = True

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
        """Count one value; list.append is atomic, so no lock is taken here."""
        pending = self.pending
        pending.append(value)
        # Whoever holds the lock is folding already: nobody waits.
        if len(pending) >= BUFFER_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def observe_all(self, values: list[float]) -> None:
        """Count many values at once."""
        with self._lock:
            self.pending.extend(values)
            self._fold()

    def keep_exemplar(self, exemplar: Exemplar) -> None:
        """Make this the exemplar of its value's bucket."""
        self.exemplars[bisect_left(self.bounds, exemplar.value)] = exemplar

    def _fold(self) -> None:
        size = len(self.pending)
        batch = self.pending[:size]
        del self.pending[:size]
        counts, total = self.counts, self.total
        for bucket in map(bisect_left, repeat(self.bounds), batch):
            counts[bucket] += 1
        # One after the other: the bytes of a sum must not depend on when somebody looked.
        for value in batch:
            total += value
        self.total = total

    def read(self) -> tuple[list[int], float]:
        """The cumulative bucket counts, the last one being the count, and the sum: of one moment."""
        with self._lock:
            if self.pending:
                self._fold()
            return list(accumulate(self.counts)), self.total

    def state(self) -> list[Any]:
        """Bucket counts, sum and exemplars, of one moment."""
        with self._lock:
            if self.pending:
                self._fold()
            return [list(self.counts), self.total, [[bucket, *kept] for bucket, kept in self.exemplars.copy().items()]]

    def absorb(self, state: Sequence[Any]) -> None:
        """Add a state of the same series from elsewhere."""
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
        """Begin anew, as a forked worker does."""
        self._lock = threading.Lock()
        self.counts = [0] * len(self.counts)
        self.total = 0.0
        self.exemplars.clear()
        self.pending.clear()


Series = CounterSeries | GaugeSeries | HistogramSeries
