"""The registry: every family of one process, made once by name."""

from __future__ import annotations

import threading
from functools import partial
from typing import TypeVar, cast

from exporter.metrics.families import SECONDS, SERIES_LIMIT, AnyFamily, Descriptor, Family
from exporter.metrics.series import CounterSeries, GaugeSeries, HistogramSeries

F = TypeVar("F", bound=AnyFamily)


class MetricRegistry:
    """Families by name; asking twice gives the same one."""

    def __init__(self, series_limit: int = SERIES_LIMIT) -> None:
        self.series_limit = series_limit
        self._families: dict[str, AnyFamily] = {}
        self._lock = threading.Lock()

    def counter(self, name: str, help_text: str, label_names: tuple[str, ...] = ()) -> Family[CounterSeries]:
        """The counter family `name`, which ends in `_total`."""
        return self._get(Family(Descriptor(name, "counter", help_text, label_names), CounterSeries, self.series_limit))

    def gauge(self, name: str, help_text: str, label_names: tuple[str, ...] = ()) -> Family[GaugeSeries]:
        """The gauge family `name`."""
        return self._get(Family(Descriptor(name, "gauge", help_text, label_names), GaugeSeries, self.series_limit))

    def histogram(
        self, name: str, help_text: str, label_names: tuple[str, ...] = (), bounds: tuple[float, ...] = SECONDS
    ) -> Family[HistogramSeries]:
        """The histogram family `name`."""
        make = partial(HistogramSeries, bounds=bounds)
        return self._get(Family(Descriptor(name, "histogram", help_text, label_names), make, self.series_limit))

    def _get(self, candidate: F) -> F:
        name = candidate.descriptor.name
        with self._lock:
            known = self._families.setdefault(name, candidate)
        if known.descriptor != candidate.descriptor:
            raise ValueError(f"Metric {name!r} exists as {known.descriptor}; it cannot become {candidate.descriptor}")
        return cast("F", known)

    def families(self) -> list[AnyFamily]:
        """Every family, oldest first."""
        return list(self._families.values())


DEFAULT = MetricRegistry()
