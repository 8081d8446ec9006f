"""One of the user's metrics: its buffer of pending records, its history for statistics, and its threshold."""

from __future__ import annotations

import math
import threading
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.exemplars import exemplar_labels
from perfloop_exporter.metrics.series import BUFFER_LIMIT, CounterSeries, Exemplar, HistogramSeries, Series

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.metrics.families import AnyFamily
    from perfloop_exporter.metrics.names import WireName

# Monotonic time in s, the exported series (None for values that are only kept in the history), value, metadata.
Record = tuple[float, Series | None, float, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of each metric is kept for `get_metric_stats`."""

    seconds: float = 3600.0
    points: int = 10_000


class History:
    """The newest `points` values of a metric; up to twice as many, 16 bytes each, are held, so trimming is rare."""

    __slots__ = ("_points", "_times", "_values")

    def __init__(self, points: int) -> None:
        self._points = points
        self._times = array("d")
        self._values = array("d")

    def extend(self, times: Iterable[float], values: Iterable[float]) -> None:
        """Add values and their times (monotonic, in s), oldest first."""
        self._times.extend(times)
        self._values.extend(values)
        if len(self._values) > 2 * self._points:
            del self._times[: -self._points]
            del self._values[: -self._points]

    def since(self, start_seconds: float) -> list[float]:
        """Return the values recorded at or after `start_seconds`, oldest first."""
        pairs = zip(self._times[-self._points :], self._values[-self._points :], strict=True)
        return [value for at, value in pairs if at >= start_seconds]


class AppMetric:
    """One metric. Recording appends to `pending` without a lock; `fold` counts what is pending."""

    __slots__ = ("_lock", "above", "below", "checked", "crossed", "family", "history", "name", "pending", "wire")

    def __init__(self, name: str, wire: WireName, family: AnyFamily, points: int) -> None:
        self.name = name
        self.wire = wire
        self.family = family
        self.pending: list[Record] = []
        self.history = History(points)
        self.above = math.inf
        self.below = -math.inf
        self.checked: CounterSeries | None = None
        self.crossed: CounterSeries | None = None
        self._lock = threading.Lock()

    def limit(self, above: float, below: float, checked: CounterSeries | None, crossed: CounterSeries | None) -> None:
        """From now on count every value in `checked`, and those beyond a limit in `crossed`."""
        with self._lock:
            self._fold()
            self.above, self.below, self.checked, self.crossed = above, below, checked, crossed

    def fold_if_full(self) -> None:
        """Fold a full buffer, unless another thread is folding: a writer never waits."""
        if len(self.pending) >= BUFFER_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def fold(self) -> None:
        """Count everything that is pending."""
        with self._lock:
            self._fold()

    def _fold(self) -> None:
        size = len(self.pending)
        batch = self.pending[:size]
        del self.pending[:size]
        values = [record[2] for record in batch]
        self.history.extend([record[0] for record in batch], values)
        self._count_crossings(values)
        factor = self.wire.factor
        amounts: dict[Series | None, list[float]] = {}
        slowest: dict[Series | None, tuple[float, Mapping[str, Any], float]] = {}
        for at, series, value, metadata in batch:
            amount = value * factor
            try:
                amounts[series].append(amount)
            except KeyError:
                amounts[series] = [amount]
            if metadata is not None and (series not in slowest or amount > slowest[series][0]):
                slowest[series] = (amount, metadata, at)
        for series, found in amounts.items():
            _write(series, found)
        # One exemplar per series and batch, that of the largest value: further ones would replace each other anyway.
        for series, (amount, metadata, at) in slowest.items():
            _keep_exemplar(series, amount, metadata, at)

    def _count_crossings(self, values: list[float]) -> None:
        if self.checked is not None and self.crossed is not None:
            self.checked.inc(len(values))
            self.crossed.inc(sum(value > self.above or value < self.below for value in values))

    def values(self, since_seconds: float) -> list[float]:
        """Return what was recorded since then, in the user's unit, oldest first."""
        with self._lock:
            self._fold()
            return self.history.since(since_seconds)

    def reset(self) -> None:
        """Drop what is pending: in a forked process the parent counts it."""
        self._lock = threading.Lock()
        self.pending.clear()


def _write(series: Series | None, amounts: list[float]) -> None:
    if isinstance(series, HistogramSeries):
        series.observe_all(amounts)
    elif isinstance(series, CounterSeries):
        for amount in amounts:
            series.inc(amount)
    elif series is not None:
        series.set(amounts[-1])


def _keep_exemplar(series: Series | None, amount: float, metadata: Mapping[str, Any], at: float) -> None:
    if isinstance(series, HistogramSeries):
        labels = exemplar_labels(metadata)
        if labels:
            wall_seconds = round(time.time() - (time.monotonic() - at), 3)
            series.keep_exemplar(Exemplar(labels, amount, wall_seconds))
