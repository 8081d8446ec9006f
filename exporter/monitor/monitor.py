"""The object behind `performance_monitor`."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from exporter.metrics.families import Family
from exporter.metrics.names import WireName, wire_name
from exporter.metrics.registry import DEFAULT, MetricRegistry
from exporter.metrics.series import CounterSeries, GaugeSeries, HistogramSeries
from exporter.monitor.alerts import AlertEvent, Direction
from exporter.monitor.stats import MetricStats, summarize
from exporter.monitor.system import read_system_stats
from exporter.monitor.timing import TimeMeasurement

log = logging.getLogger("perfloop")


class PerformanceMonitor:
    """Custom metrics in the user's own names and units, out as `app_*` in base units."""

    def __init__(self, registry: MetricRegistry = DEFAULT, retention_points: int = 10_000) -> None:
        self._registry = registry
        self._retention_points = retention_points
        self._history: dict[str, deque[float]] = {}
        self._thresholds: dict[str, tuple[float, Direction]] = {}
        self._callbacks: list[Callable[[AlertEvent], Any]] = []
        self._task: asyncio.Task[None] | None = None

    def record_metric(
        self,
        name: str,
        value: float,
        metadata: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Record one value: tags become labels, metadata goes to the exemplar."""
        del metadata
        labels = {str(key): str(label) for key, label in sorted((tags or {}).items())}
        wire = wire_name(name)
        series = self._family(wire, tuple(labels)).labels(*labels.values())
        amount = value * wire.factor
        if isinstance(series, HistogramSeries):
            series.observe(amount)
        elif isinstance(series, CounterSeries):
            series.inc(amount)
        else:
            series.set(amount)
        self._history.setdefault(name, deque(maxlen=self._retention_points)).append(value)
        self._check(name, value, labels)

    def _family(
        self, wire: WireName, names: tuple[str, ...]
    ) -> Family[CounterSeries] | Family[GaugeSeries] | Family[HistogramSeries]:
        make = getattr(self._registry, wire.kind)
        family: Family[CounterSeries] = make(wire.name, f"Recorded by the application ({wire.name}).", names)
        return family

    def measure_time(
        self, name: str, metadata: Mapping[str, Any] | None = None, tags: Mapping[str, Any] | None = None
    ) -> TimeMeasurement:
        """Measure a block or a function; a name without a unit is in milliseconds."""
        known = wire_name(name)
        recorded = name if known.kind == "histogram" else f"{name}_ms"
        factor = wire_name(recorded).factor

        def record(seconds: float, _error: BaseException | None) -> None:
            self.record_metric(recorded, seconds / factor, metadata, tags)

        return TimeMeasurement(record)

    def get_metric_stats(self, name: str) -> MetricStats:
        """The statistics of the values of `name` within the retention."""
        values = self._history.get(name) or self._history.get(f"{name}_ms") or ()
        return summarize(list(values))

    def get_system_stats(self) -> dict[str, float]:
        """The machine's state now."""
        return read_system_stats()

    def set_threshold(self, name: str, value: float, direction: Direction = "above") -> None:
        """Call the alert callbacks when `name` goes beyond `value`, in the user's own unit."""
        self._thresholds[name] = (value, direction)

    def add_alert_callback(self, callback: Callable[[AlertEvent], Any]) -> None:
        """Call `callback(event)`, a function or a coroutine function, on every crossing."""
        self._callbacks.append(callback)

    def _check(self, name: str, value: float, labels: dict[str, str]) -> None:
        if name not in self._thresholds:
            return
        threshold, direction = self._thresholds[name]
        if not (value > threshold if direction == "above" else value < threshold):
            return
        event = AlertEvent(name, value, threshold, direction, time.time(), labels)
        for callback in self._callbacks:
            result = callback(event)
            if inspect.isawaitable(result):
                asyncio.ensure_future(result)  # noqa: RUF006 - fire and forget: the callback is the user's

    async def start(self, interval_seconds: float = 5.0) -> None:
        """Begin to sample the system every `interval_seconds`."""
        if self._task is None:
            self._task = asyncio.create_task(self._sample(interval_seconds))

    async def stop(self) -> None:
        """End the sampling."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _sample(self, interval_seconds: float) -> None:
        while True:
            for name, value in read_system_stats().items():
                self._history.setdefault(name, deque(maxlen=self._retention_points)).append(value)
                self._check(name, value, {})
            await asyncio.sleep(interval_seconds)
