"""Families: a metric's name, type, help and labels, and its series under a hard cap."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from exporter.metrics.series import CounterSeries, GaugeSeries, HistogramSeries, Series

Kind = Literal["counter", "gauge", "histogram"]
S = TypeVar("S", bound=Series)

# Latency bounds that hold OpenTelemetry's advice for HTTP and the 0.2, 2 and 5 s that thresholds ask about.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0)
SERIES_LIMIT = 1000
OVERFLOW = "other"

log = logging.getLogger("perfloop")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What stands in the HELP and TYPE lines, and the label names in their order."""

    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...] = ()


class Family(Generic[S]):
    """All series of one metric; past the cap new label values fold into one overflow series."""

    def __init__(self, descriptor: Descriptor, make: Callable[[tuple[tuple[str, str], ...]], S], limit: int) -> None:
        self.descriptor = descriptor
        self.limit = limit
        self.folded = 0
        self._make = make
        self._children: dict[tuple[str, ...], S] = {}
        self._lock = threading.Lock()

    def labels(self, *values: str) -> S:
        """The series with these label values, in the descriptor's order."""
        child = self._children.get(values)
        return child if child is not None else self._add(values)

    def _add(self, values: tuple[str, ...]) -> S:
        names = self.descriptor.label_names
        with self._lock:
            if len(self._children) >= self.limit and values not in self._children:
                self._warn_once()
                self.folded += 1
                values = (OVERFLOW,) * len(names)
            child = self._children.get(values)
            if child is None:
                child = self._children[values] = self._make(tuple(zip(names, values, strict=True)))
            return child

    def _warn_once(self) -> None:
        if not self.folded:
            log.warning(
                "Metric %r has reached its limit of %d series: further label values are folded into %r",
                self.descriptor.name,
                self.limit,
                OVERFLOW,
            )

    def series(self) -> list[S]:
        """Every series, oldest first."""
        return list(self._children.values())


AnyFamily = Family[CounterSeries] | Family[GaugeSeries] | Family[HistogramSeries]
