"""Time series of each type. A write is an append or a short lock; buckets and sums are computed when read."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from bisect import bisect_left
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        """Add `amount`; negative numbers, NaN and infinity are ignored: a counter never falls, and goes on counting.

        Raises:
            TypeError, ValueError, OverflowError: It is not a number.
        """
        # No type is checked first: callers hand over whatever a client library gave them.
        number = float(amount)
        if 0 <= number < math.inf:
            with self._lock:
                self.total += number

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
        """Set the value.

        Raises:
            TypeError, ValueError, OverflowError: It is not a number.
        """
        number = float(value)
        with self._lock:
            self.value = number
            # One clock for all processes of the machine, which does not jump when the time is set.
            self.updated_seconds = time.monotonic()

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`, which may be negative.

        Raises:
            TypeError, ValueError, OverflowError: It is not a number.
        """
        number = float(amount)
        with self._lock:
            self.value += number

    def state(self) -> list[Any]:
        """Return the value and when it was set, in seconds of the monotonic clock."""
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
    """A classic histogram: `observe` appends to a buffer, and folding sorts the buffer into the buckets.

    `linked_value` and `linked_until` are for whoever keeps exemplars: of the newest, and when the next one is due, in
    seconds of a monotonic clock.
    """

    __slots__ = (
        "_lock",
        "bounds",
        "counts",
        "exemplars",
        "labels",
        "linked_until",
        "linked_value",
        "pending",
        "text",
        "total",
    )

    def __init__(self, labels: Labels, bounds: tuple[float, ...]) -> None:
        self.labels = labels
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        self.linked_value = self.linked_until = 0.0
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
        try:
            buckets = list(map(bisect_left, repeat(self.bounds), batch))
            total = _sum(self.total, batch)
        except Exception:  # noqa: BLE001 - a value of another type may raise anything
            total = math.nan
        if not math.isfinite(total):  # one value that is not a finite number must not spoil the sum for ever
            batch = list(_finite(batch))
            buckets = list(map(bisect_left, repeat(self.bounds), batch))
            total = _sum(self.total, batch)
        counts = self.counts
        for bucket in buckets:
            counts[bucket] += 1
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


def _sum(total: float, batch: list[float]) -> float:
    # In order of recording, not sum(batch): the sum's bits must not depend on when it was read.
    for value in batch:
        total += value
    return total


def _finite(batch: list[float]) -> Iterator[float]:
    for value in batch:
        with contextlib.suppress(Exception):
            number = float(value)
            if math.isfinite(number):
                yield number


Series = CounterSeries | GaugeSeries | HistogramSeries
