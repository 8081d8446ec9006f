"""Metric families: name, type, help and labels, and the series, whose number is capped."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from perfloop_exporter.metrics.guard import LabelGuard, Limits
from perfloop_exporter.metrics.series import (
    CounterSeries,
    GaugeSeries,
    HistogramSeries,
    Labels,
    LatestGaugeSeries,
    Series,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["counter", "gauge", "histogram"]
S = TypeVar("S", bound=Series)

# Bucket bounds for latencies: OpenTelemetry's advice for HTTP, with the 0.2, 2 and 5 s that thresholds compare with.
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """The properties of a family.

    Attributes:
        label_names: In the order of the values of `Family.labels`.
        bounds: Upper bounds of a histogram's buckets, ascending, without +Inf.
        latest: Of a gauge in several worker processes, whether the newest value counts instead of the sum.
    """

    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    latest: bool = False

    def make_series(self, labels: Labels) -> Series:
        """Return an empty series of this family."""
        if self.kind == "histogram":
            return HistogramSeries(labels, self.bounds)
        if self.kind == "counter":
            return CounterSeries(labels)
        return LatestGaugeSeries(labels) if self.latest else GaugeSeries(labels)


class Family(Generic[S]):
    """All series of one metric."""

    def __init__(self, descriptor: Descriptor, make: Callable[[Labels], S], limits: Limits) -> None:
        self.descriptor = descriptor
        self.guard = LabelGuard(descriptor.name, limits)
        self._make = make
        self._by_values: dict[tuple[str, ...], S] = {}
        self._children: dict[Labels, S] = {}
        self._lock = threading.Lock()

    def labels(self, *values: str) -> S:
        """Return the series with these label values, in the order of the descriptor's label names."""
        # Without a lock: in CPython a lookup and an assignment are atomic, and a race assigns the same series twice.
        try:
            return self._by_values[values]
        except KeyError:
            pairs = tuple(zip(self.descriptor.label_names, values, strict=True))
            child = self.child(pairs)
            if child.labels == pairs:
                self._by_values[values] = child
            return child

    def child(self, labels: Labels) -> S:
        """Return the series with these labels, or the overflow series when the cap is reached."""
        child = self._children.get(labels)
        if child is not None:
            return child
        with self._lock:
            child = self._children.get(labels)
            if child is None:
                admitted = self.guard.admit(labels)
                child = self._children.get(admitted)
                if child is None:
                    child = self._children[admitted] = self._make(admitted)
            return child

    def series(self) -> list[S]:
        """Return every series, oldest first."""
        return list(self._children.values())

    def clear(self) -> None:
        """Reset every series in place: instruments hold references to them."""
        self._lock = threading.Lock()
        for child in self.series():
            child.reset()


AnyFamily = Family[CounterSeries] | Family[GaugeSeries] | Family[HistogramSeries]
