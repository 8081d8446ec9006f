"""Every metric that was recorded or declared, by the user's name; and the look-up that the hot path lives on."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.families import SECONDS, AnyFamily, Kind
from perfloop_exporter.metrics.names import WireName, label_name, wire_name
from perfloop_exporter.metrics.series import Labels, Series
from perfloop_exporter.monitor.metric import AppMetric, Retention

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.metrics.registry import MetricRegistry

log = logging.getLogger("perfloop")

METRIC_LIMIT = 500
ALIAS_LIMIT = 20_000

Slot = tuple[AppMetric, Series]


class TooManyMetricsError(Exception):
    """More names were recorded than the book holds: names made from data belong into tags."""


class MetricBook:
    """`slots` maps the name, its tags and their values, as callers write them, to the metric and its series."""

    def __init__(self, registry: MetricRegistry, retention: Retention) -> None:
        self._registry = registry
        self._points = retention.points
        self._metrics: dict[str, AppMetric] = {}
        self._lock = threading.RLock()
        self._failed: set[str] = set()
        self._dropped = registry.counter(
            "perfloop_dropped_records_total", "Records that could not be taken, by reason.", ("reason",)
        )
        self.slots: dict[Any, Slot] = {}
        registry.before_read(self.fold)
        registry.after_fork(self.reset)

    def get(self, name: str) -> AppMetric | None:
        """The metric, if it was ever recorded, declared or given a threshold."""
        return self._metrics.get(name)

    def metric(self, name: str) -> AppMetric:
        """The metric `name`, made when it is new."""
        metric = self._metrics.get(name)
        if metric is not None:
            return metric
        with self._lock:
            metric = self._metrics.get(name)
            if metric is None:
                if len(self._metrics) >= METRIC_LIMIT:
                    raise TooManyMetricsError(f"{METRIC_LIMIT} metrics exist already: put what varies into tags")
                wire = wire_name(name)
                family = self._family(wire, "", SECONDS)
                metric = self._metrics[name] = AppMetric(name, wire, family, self._points)
            return metric

    def declare(self, name: str, kind: Kind | None, description: str, buckets: tuple[float, ...] | None) -> None:
        """Make the metric `name` as its user describes it."""
        with self._lock:
            if name in self._metrics:
                raise ValueError(f"Metric {name!r} is in use already: declare it before its first value")
            known = wire_name(name)
            wire = WireName(known.name, kind or ("histogram" if buckets else known.kind), known.factor, known.unit)
            family = self._family(wire, description, tuple(sorted(buckets or SECONDS)))
            self._metrics[name] = AppMetric(name, wire, family, self._points)

    def _family(self, wire: WireName, description: str, bounds: tuple[float, ...]) -> AnyFamily:
        text = description or "Recorded by the application through performance_monitor."
        if wire.kind == "histogram":
            return self._registry.histogram(wire.name, text, (), bounds)
        if wire.kind == "counter":
            return self._registry.counter(wire.name, text)
        return self._registry.gauge(wire.name, text, latest=True)

    def resolve(self, name: str, tags: Mapping[str, Any] | None) -> Slot:
        """The slow way to a slot: labels made clean, folded past the cap, remembered when they are plain."""
        metric = self.metric(name)
        labels: Labels = tuple(sorted({label_name(str(key)): str(tag) for key, tag in (tags or {}).items()}.items()))
        series = metric.family.child(labels)
        slot = (metric, series)
        # 1, 1.0 and True are one key but three labels: only strings are remembered. Folded ones would be without end.
        plain = all(type(key) is str and type(tag) is str for key, tag in (tags or {}).items())
        if plain and series.labels == labels and len(self.slots) < ALIAS_LIMIT:
            self.slots[(name, *tags, *tags.values()) if tags else name] = slot
        return slot

    def drop(self, name: object, error: Exception) -> None:
        """Count a record that could not be taken; tell of the first one of each metric."""
        self._dropped.labels(type(error).__name__).inc()
        text = str(name)[:100]
        if text not in self._failed and len(self._failed) < METRIC_LIMIT:
            self._failed.add(text)
            log.warning("A record of metric %r was dropped (further ones are only counted): %s", text, error)

    def fold(self) -> None:
        """Count everything that is pending."""
        for metric in list(self._metrics.values()):
            metric.fold()

    def reset(self) -> None:
        """In a forked worker: what is pending is the parent's to count."""
        self._lock = threading.RLock()
        for metric in self._metrics.values():
            metric.reset()
