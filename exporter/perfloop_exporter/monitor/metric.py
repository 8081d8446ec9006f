"""One of the user's metrics: what was recorded and not yet counted, what is remembered, and its threshold."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.exemplars import exemplar_labels
from perfloop_exporter.metrics.series import BUFFER_LIMIT, CounterSeries, Exemplar, HistogramSeries, Series
from perfloop_exporter.monitor.history import History

if TYPE_CHECKING:
    from perfloop_exporter.metrics.families import AnyFamily
    from perfloop_exporter.metrics.names import WireName

# When (monotonic), the series on the wire (none for what only the history wants), the value, the metadata.
Record = tuple[float, Series | None, float, Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of each metric is remembered for `get_metric_stats`."""

    seconds: float = 3600.0
    points: int = 10_000


class AppMetric:
    """`pending` takes records without a lock; `fold` counts them."""

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
        """From now on count every value in `checked`, and in `crossed` those beyond a limit."""
        with self._lock:
            self._fold()
            self.above, self.below, self.checked, self.crossed = above, below, checked, crossed

    def relieve(self) -> None:
        """Fold a long buffer, unless somebody does so already: a writer never waits."""
        if len(self.pending) >= BUFFER_LIMIT and self._lock.acquire(blocking=False):
            try:
                self._fold()
            finally:
                self._lock.release()

    def fold(self) -> None:
        """Count what is pending."""
        with self._lock:
            self._fold()

    def _fold(self) -> None:
        size = len(self.pending)
        batch = self.pending[:size]
        del self.pending[:size]
        values = [record[2] for record in batch]
        self.history.extend([record[0] for record in batch], values)
        self._judge(values)
        factor = self.wire.factor
        amounts: dict[Series | None, list[float]] = {}
        slowest: dict[Series | None, tuple[float, Mapping[str, Any], float]] = {}
        for at, series, value, metadata in batch:
            amount = value * factor
            try:
                amounts[series].append(amount)
            except KeyError:
                amounts[series] = [amount]
            if metadata and (series not in slowest or amount > slowest[series][0]):
                slowest[series] = (amount, metadata, at)
        for series, found in amounts.items():
            _write(series, found)
        # One exemplar per series and batch, the one worth looking at: the others would replace each other anyway.
        for series, (amount, metadata, at) in slowest.items():
            _keep_exemplar(series, amount, metadata, at)

    def _judge(self, values: list[float]) -> None:
        if self.checked is not None and self.crossed is not None:
            self.checked.inc(len(values))
            self.crossed.inc(sum(value > self.above or value < self.below for value in values))

    def values(self, since_seconds: float) -> list[float]:
        """What was recorded since then, in the user's unit, oldest first."""
        with self._lock:
            self._fold()
            return self.history.since(since_seconds)

    def reset(self) -> None:
        """Forget what was not counted: in a forked worker it is the parent's."""
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
        wall_seconds = round(time.time() - (time.monotonic() - at), 3)
        series.keep_exemplar(Exemplar(exemplar_labels(metadata), amount, wall_seconds))
