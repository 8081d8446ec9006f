"""Every metric that was recorded or declared, by the user's name, and the lookup table of the hot path."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from perfloop_exporter.metrics.names import WireName, label_name, wire_name
from perfloop_exporter.metrics.series import Labels, Series
from perfloop_exporter.metrics.text import NAME_LIMIT, VALUE_LIMIT, text_of
from perfloop_exporter.monitor.metric import AppMetric, Retention

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.metrics.families import AnyFamily, Kind
    from perfloop_exporter.metrics.registry import MetricRegistry

log = logging.getLogger("perfloop")

# Each metric keeps a history of up to 320 kB, so the number of names is limited.
METRIC_LIMIT = 500
# Entries of the lookup table; names and tags beyond take the slow way.
ALIAS_LIMIT = 20_000
# Labels of one series.
TAG_LIMIT = 30

Slot = tuple[AppMetric, Series]


class TooManyMetricsError(Exception):
    """More names were recorded than the limit: names that are made from data belong into tags."""


class MetricStore:
    """The metrics of one monitor.

    Attributes:
        slots: Maps a name, or the tuple of name, tag names and tag values, as callers write them, to metric and series.
    """

    def __init__(self, registry: MetricRegistry, retention: Retention) -> None:
        self._registry = registry
        self._points = retention.points
        self._metrics: dict[str, AppMetric] = {}
        self._lock = threading.RLock()
        self._failed: set[str] = set()
        self._dropped = registry.counter(
            "perfloop_dropped_records_total", "Records that were dropped, by reason.", ("reason",)
        )
        self.slots: dict[Any, Slot] = {}
        registry.before_read(self.fold)
        registry.after_fork(self.reset)

    def get(self, name: str) -> AppMetric | None:
        """Return the metric, if it was ever recorded, declared or given a threshold."""
        return self._metrics.get(name)

    def metric(self, name: str) -> AppMetric:
        """Return the metric `name`, created when it is new.

        Raises:
            TooManyMetricsError: There are METRIC_LIMIT metrics already.
            ValueError: The name is too long, or has an exported name in common with another metric.
            TypeError: It is not a string.
        """
        metric = self._metrics.get(name)
        if metric is not None:
            return metric
        with self._lock:
            metric = self._metrics.get(name)
            if metric is None:
                if len(self._metrics) >= METRIC_LIMIT:
                    raise TooManyMetricsError(f"limit of {METRIC_LIMIT} metrics reached: put what varies into tags")
                wire = wire_name(name)
                family = self._family(wire, "", None)
                metric = self._metrics[name] = AppMetric(name, wire, family, self._points)
            return metric

    def declare(self, name: str, kind: Kind | None, description: str, buckets: tuple[float, ...] | None) -> None:
        """Create the metric `name` as described; `buckets` are in base units.

        Raises:
            ValueError: The metric exists already, or the registry has its exported name with other properties.
        """
        with self._lock:
            if name in self._metrics:
                raise ValueError(f"Metric {name!r} is in use already: declare it before its first value")
            known = wire_name(name)
            chosen = kind or ("histogram" if buckets else known.kind)
            # The formats require it of a counter.
            exported = known.name if chosen != "counter" else f"{known.name.removesuffix('_total')}_total"
            wire = WireName(exported, chosen, known.factor, known.unit)
            bounds = tuple(sorted(set(map(float, buckets)))) if buckets else None
            family = self._family(wire, description, bounds)
            self._metrics[name] = AppMetric(name, wire, family, self._points)

    def _family(self, wire: WireName, description: str, bounds: tuple[float, ...] | None) -> AnyFamily:
        text = description or "Recorded by the application through performance_monitor."
        if wire.kind == "histogram":
            return self._registry.histogram(wire.name, text, (), bounds)
        if wire.kind == "counter":
            return self._registry.counter(wire.name, text)
        if wire.kind == "gauge":
            return self._registry.gauge(wire.name, text, latest=True)
        raise ValueError(f"Metric {wire.name!r} has kind {wire.kind!r}: it must be counter, gauge or histogram")

    def resolve(self, name: str, tags: Mapping[str, Any] | None) -> Slot:
        """Return the metric and series of a name and tags, the slow way: labels are normalised and capped.

        The result is cached in `slots` where the tags are short strings and the labels were not capped.

        Raises:
            ValueError: There are more than TAG_LIMIT tags.
        """
        given = list((tags or {}).items())
        if len(given) > TAG_LIMIT:
            raise ValueError(f"the record has {len(given)} tags, more than {TAG_LIMIT}")
        metric = self.metric(name)
        named = {label_name(text_of(key, NAME_LIMIT)): text_of(tag) for key, tag in given}
        # A label without a value is the same to Prometheus as no label: the series would be there twice.
        labels: Labels = tuple(sorted((key, text) for key, text in named.items() if text))
        series = metric.family.child(labels)
        slot = (metric, series)
        # Only strings: 1, 1.0 and True are equal as keys, but three labels. Capped labels would grow without bound,
        # and long ones fill the memory.
        plain = all(_is_short(key, NAME_LIMIT) and _is_short(tag, VALUE_LIMIT) for key, tag in given)
        if plain and series.labels == labels and len(self.slots) < ALIAS_LIMIT:
            self.slots[(name, *tags, *tags.values()) if tags else name] = slot
        return slot

    def drop(self, name: object, error: Exception) -> None:
        """Count a dropped record; log the first one of each metric."""
        self._dropped.labels(type(error).__name__).inc()
        text = text_of(name, 100)
        if text not in self._failed and len(self._failed) < METRIC_LIMIT:
            self._failed.add(text)
            why = text_of(error, 500)
            log.warning("A record of metric %r was dropped (further ones are only counted): %s", text, why)

    def fold(self) -> None:
        """Count everything that is pending; what fails for one metric is not missing from the others."""
        for metric in list(self._metrics.values()):
            try:
                metric.fold()
            except Exception as error:  # noqa: BLE001 - the edge of one metric
                self.drop(metric.name, error)

    def reset(self) -> None:
        """Drop what is pending: in a forked process the parent counts it."""
        self._lock = threading.RLock()
        for metric in self._metrics.values():
            metric.reset()


def _is_short(value: object, limit: int) -> bool:
    return type(value) is str and len(value) <= limit
