"""PerformanceMonitor, the class of `performance_monitor`: recording, statistics, thresholds, system sampling."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.names import wire_name
from perfloop_exporter.metrics.registry import DEFAULT, MetricRegistry
from perfloop_exporter.metrics.series import BUFFER_LIMIT
from perfloop_exporter.metrics.text import text_of
from perfloop_exporter.metrics.timing import TimeMeasurement
from perfloop_exporter.monitor.alerts import AlertCallback, AlertDispatcher, AlertEvent, Direction
from perfloop_exporter.monitor.metric import AppMetric, Retention
from perfloop_exporter.monitor.stats import MetricStats, summarize
from perfloop_exporter.monitor.store import MetricStore
from perfloop_exporter.monitor.system import SystemReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfloop_exporter.metrics.families import Kind

log = logging.getLogger("perfloop")

# Names whose threshold is a lower limit, where `set_threshold` is called without a direction.
_LOW_IS_BAD = ("hit_rate", "hit_ratio", "availability", "success_rate", "success_ratio")
# Two counters rather than a state: those of several workers can be summed, and the alert chooses the window.
_CROSSINGS = (
    ("perfloop_threshold_checked_total", "Values recorded of a metric that has a threshold."),
    ("perfloop_threshold_crossed_total", "Values recorded beyond their threshold."),
)
# An alert names the metric as its users know it: cpu_percent, which is exported as app_cpu_ratio.
_NAMES = ("perfloop_threshold_info", "The name under which a metric with a threshold is recorded.")


class PerformanceMonitor:
    """Custom metrics under the user's own names and units, exported as `app_*` in base units.

    Every method may be called from any thread. Recording never raises and never waits: what cannot be recorded is
    counted in `perfloop_dropped_records_total`, and logged once per metric.

    Args:
        registry: Where the metrics are exported.
        retention: How much is kept for `get_metric_stats`.
        alert_interval_seconds: Shortest time between two alerts of one metric.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        registry: MetricRegistry = DEFAULT,
        *,
        retention: Retention | None = None,
        alert_interval_seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._retention = retention or Retention()
        self._clock = clock
        self._store = MetricStore(registry, self._retention)
        self._slots = self._store.slots
        self._alerts = AlertDispatcher(alert_interval_seconds, registry)
        self._system = SystemReader()
        self._sampling: asyncio.Task[None] | None = None

    # -- recording

    def record_metric(
        self,
        name: str,
        value: float,
        metadata: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Record one value, in the unit of the name's suffix; tags become labels, metadata goes to the exemplar.

        Never raises: what cannot be recorded is counted by reason in `perfloop_dropped_records_total`.
        """
        try:
            number = float(value)
            if number - number:  # not 0 for NaN and infinities; math.isfinite would cost a call
                raise ValueError(f"{number} is not a finite number")  # noqa: TRY301 - one place counts all drops
            try:
                # The tags as the caller wrote them: sorting or joining them would cost more than all the rest.
                metric, series = self._slots[(name, *tags, *tags.values()) if tags else name]
            except Exception:  # noqa: BLE001 - not only KeyError: a tag's own __hash__ may raise anything
                metric, series = self._store.resolve(name, tags)
            pending = metric.pending
            pending.append((self._clock(), series, number, metadata))
            if number > metric.above or number < metric.below:
                self._crossed(metric, number, tags)
            if len(pending) >= BUFFER_LIMIT:
                metric.fold_if_full()
        except Exception as error:  # noqa: BLE001 - a metric must never fail the service that records it
            self._store.drop(name, error)

    def declare(
        self, name: str, *, kind: Kind | None = None, description: str = "", buckets: tuple[float, ...] | None = None
    ) -> None:
        """Describe a metric before it is first recorded; `buckets` are in base units and make it a histogram.

        Raises:
            ValueError: The metric is in use already.
        """
        self._store.declare(name, kind, description, buckets)

    def measure_time(
        self, name: str, metadata: Mapping[str, Any] | None = None, tags: Mapping[str, Any] | None = None
    ) -> TimeMeasurement:
        """Time a block (`with`, `async with`) or a function; a name without a unit is in milliseconds.

        Blocks that raise or are cancelled are timed too, and counted in `app_NAME_errors_total` and
        `app_NAME_cancelled_total`.
        """
        return TimeMeasurement(partial(self._record_time, name, metadata, tags))

    def _record_time(
        self,
        name: str,
        metadata: Mapping[str, Any] | None,
        tags: Mapping[str, Any] | None,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        try:
            timed = _timed_name(name)
            factor = wire_name(timed).factor
        except Exception as failure:  # noqa: BLE001 - leaving a measured block must never raise
            self._store.drop(name, failure)
            return
        self.record_metric(timed, seconds / factor, metadata, tags)
        if error is None or isinstance(error, GeneratorExit):
            return
        outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else "errors"
        self.record_metric(f"{wire_name(timed).name.removesuffix('_seconds')}_{outcome}_total", 1, None, tags)

    # -- reading

    def get_metric_stats(self, name: str, window_seconds: float | None = None) -> MetricStats:
        """Return statistics of the values recorded under `name`, over all tags, in the unit they were recorded in.

        Only the newest values are kept (see Retention); `window_seconds` shortens the time further.
        """
        try:
            metric = self._store.get(name) or self._store.get(_timed_name(name))
        except Exception:  # noqa: BLE001 - a name under which nothing can have been recorded
            metric = None
        if metric is None:
            return summarize(())
        window = min(self._retention.seconds, math.inf if window_seconds is None else window_seconds)
        return summarize(metric.values(self._clock() - window), metric.wire.unit)

    def get_system_stats(self) -> dict[str, float]:
        """Return the machine's state now: cpu_percent, memory_percent, disk and network bytes, load and more."""
        return self._system.read()

    # -- thresholds

    def set_threshold(self, name: str, value: float | None, direction: Direction | None = None) -> None:
        """Call the alert callbacks when a value of `name` crosses `value`, in the user's own unit; None removes it.

        The threshold is exported in base units as `perfloop_threshold{signal="app_…",severity="warning"}`, with
        counters of the values that were checked and that crossed it: AppThresholdCrossed alerts on their ratio, under
        the name that `perfloop_threshold_info{signal="app_…",metric="…"}` has.

        Args:
            name: The metric, as it is recorded.
            value: The limit.
            direction: `above` or `below`; by default `below` for hit rates, availability and the like, else `above`.

        Raises:
            ValueError: The direction is neither.
        """
        chosen = direction or ("below" if any(word in name for word in _LOW_IS_BAD) else "above")
        if chosen not in {"above", "below"}:
            raise ValueError(f"Threshold of {name!r} has direction {direction!r}: it must be 'above' or 'below'")
        metric = self._store.metric(name)
        signal = metric.wire.name
        thresholds = self._registry.gauge(
            "perfloop_threshold", "The limit of a signal.", ("signal", "severity"), latest=True
        ).labels(signal, "warning")
        names = self._registry.gauge(*_NAMES, ("signal", "metric"), latest=True).labels(signal, name)
        if value is None:
            metric.limit(math.inf, -math.inf, None, None)
            thresholds.set(math.nan)
            names.set(math.nan)
            return
        limit = float(value)
        above, below = (limit, -math.inf) if chosen == "above" else (math.inf, limit)
        checked, crossed = (self._registry.counter(*one, ("signal",)).labels(signal) for one in _CROSSINGS)
        metric.limit(above, below, checked, crossed)
        thresholds.set(limit * metric.wire.factor)
        names.set(1.0)

    def add_alert_callback(self, callback: AlertCallback) -> None:
        """Call `callback(event)`, a function or a coroutine function, when a threshold is crossed."""
        self._alerts.add(callback)

    def remove_alert_callback(self, callback: AlertCallback) -> None:
        """Stop calling `callback`.

        Raises:
            ValueError: It was not added.
        """
        self._alerts.remove(callback)

    def _crossed(self, metric: AppMetric, value: float, tags: Mapping[str, Any] | None) -> None:
        occurrences = self._alerts.occurrences(metric.name, self._clock())
        if not occurrences:
            return
        above = value > metric.above
        labels = {text_of(key): text_of(tag) for key, tag in (tags or {}).items()}
        threshold, direction = (metric.above, "above") if above else (metric.below, "below")
        event = AlertEvent(metric.name, value, threshold, direction, time.time(), labels, occurrences)  # type: ignore[arg-type]  # mypy widens the literal in the pair
        self._alerts.dispatch(event)

    # -- sampling

    async def start(self, interval_seconds: float = 5.0) -> None:
        """Start to sample the system every `interval_seconds`; a second call changes nothing.

        Raises:
            ValueError: The interval is not positive.
        """
        if interval_seconds <= 0:
            raise ValueError(f"interval_seconds is {interval_seconds}: it must be above 0")
        self._alerts.loop = asyncio.get_running_loop()
        if self._sampling is None or self._sampling.done():
            self._sampling = asyncio.create_task(self._sample(interval_seconds), name="perfloop-monitor")

    async def stop(self) -> None:
        """Stop sampling and deliver the pending alerts; what was recorded stays readable."""
        sampling, self._sampling = self._sampling, None
        if sampling is not None and sampling.get_loop() is asyncio.get_running_loop():
            sampling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sampling
        await self._alerts.settle()
        try:
            await asyncio.to_thread(self._alerts.drain)
        except RuntimeError:  # no thread can be started to wait on
            self._alerts.drain()

    async def _sample(self, interval_seconds: float) -> None:
        failing = False
        while True:
            try:
                for name, value in (await asyncio.to_thread(self._system.read)).items():
                    self._keep_sample(name, value)
                failing = False
            except Exception:
                if not failing:  # once, not every few seconds
                    log.exception("Sampling the system failed; it is tried again every %s s", interval_seconds)
                failing = True
            await asyncio.sleep(interval_seconds)

    def _keep_sample(self, name: str, value: float) -> None:
        """Keep a sample of the system for statistics and thresholds; the exporter, not this service, exports it."""
        metric = self._store.metric(name)
        metric.pending.append((self._clock(), None, value, None))
        if value > metric.above or value < metric.below:
            self._crossed(metric, value, None)
        metric.fold()


def _timed_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError("the name is not a string")
    return name if wire_name(name).name.endswith("_seconds") else f"{name}_ms"
