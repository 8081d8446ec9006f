"""perfloop's families as a prometheus_client collector, for services that already expose its registry."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfloop_base.exposition import format_number
from perfloop_exporter.metrics.series import CounterSeries, Exemplar, HistogramSeries, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import samples
    from prometheus_client.core import Metric

    from perfloop_exporter.metrics.families import AnyFamily


class FamiliesCollector:
    """Adds families to prometheus_client's output: `REGISTRY.register(FamiliesCollector(registry.families))`."""

    def __init__(self, families: Callable[[], Iterable[AnyFamily]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield every family as prometheus_client's own type."""
        from prometheus_client.core import Metric

        for family in self._families():
            described = family.descriptor
            metric = Metric(described.name.removesuffix("_total"), described.help, described.kind)
            if described.kind != "counter":
                metric.name = described.name
            for series in family.series():
                _add_samples(metric, described.name, series)
            yield metric


def _add_samples(metric: Metric, name: str, series: Series) -> None:
    labels = dict(series.labels)
    if isinstance(series, HistogramSeries):
        counts, total = series.read()
        for bucket, (bound, count) in enumerate(zip((*series.bounds, math.inf), counts, strict=True)):
            exemplar = _exemplar(series.exemplars.get(bucket))
            metric.add_sample(f"{name}_bucket", {**labels, "le": format_number(bound)}, count, exemplar=exemplar)
        metric.add_sample(f"{name}_count", labels, counts[-1])
        metric.add_sample(f"{name}_sum", labels, total)
    elif isinstance(series, CounterSeries):
        metric.add_sample(name, labels, series.total)
    else:
        metric.add_sample(name, labels, series.value)


def _exemplar(kept: Exemplar | None) -> samples.Exemplar | None:
    if kept is None:
        return None
    from prometheus_client.samples import Exemplar as ClientExemplar

    return ClientExemplar(dict(kept.labels), kept.value, kept.timestamp_seconds)
