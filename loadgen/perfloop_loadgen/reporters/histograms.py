"""Histograms on the metrics page, written from one template each: they are made on the loop that also sends requests.

prometheus_client's own writer takes as long for one bucket as this one for ten, and each histogram has 166 of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from perfloop_base.exposition import format_number, head, label_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import CollectorRegistry

    from perfloop_loadgen.samples.histogram import Histogram

Labels = tuple[tuple[str, str], ...]


class HistogramFamily(Metric):
    """All histograms of one name; `bounds` are their buckets' upper bounds in seconds, without +Inf."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], bounds: tuple[float, ...]) -> None:
        super().__init__(name, documentation, "histogram")
        self._label_names = tuple(labels)
        self._bounds = bounds
        self._rows: list[tuple[Labels, list[int], float]] = []

    def add_metric(self, labels: Sequence[str], histogram: Histogram) -> None:
        """Add the histogram of these label values."""
        counts = histogram.cumulative(self._bounds)
        named = tuple(zip(self._label_names, labels, strict=True))
        self._rows.append((named, [*counts, histogram.count], histogram.total_seconds))

    @property
    def samples(self) -> list[Sample]:
        """Every sample, for readers that know prometheus_client's types."""
        return [sample for row in self._rows for sample in self._samples(*row)]

    @samples.setter
    def samples(self, value: list[Sample]) -> None:  # Metric's constructor sets an empty list
        del value

    def _samples(self, labels: Labels, counts: list[int], total: float) -> Iterable[Sample]:
        named = dict(labels)
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            yield Sample(f"{self.name}_bucket", {**named, "le": bound}, count)
        yield Sample(f"{self.name}_count", named, counts[-1])
        yield Sample(f"{self.name}_sum", named, total)

    def text(self) -> str:
        """Return the family in the text format."""
        written = (
            _template(self.name, labels, self._bounds) % (*counts, counts[-1], format_number(total))
            for labels, counts, total in self._rows
        )
        return head(self.name, "histogram", self.documentation) + "".join(written)


@lru_cache(maxsize=1000)
def _template(name: str, labels: Labels, bounds: tuple[float, ...]) -> str:
    braces = (label_set(sorted((*labels, ("le", bound)))) for bound in (*map(str, bounds), "+Inf"))
    counts = [*(f"{name}_bucket{one} " for one in braces), f"{name}_count{label_set(sorted(labels))} "]
    total = f"{name}_sum{label_set(sorted(labels))} "
    return "".join(f"{start.replace('%', '%%')}%d.0\n" for start in counts) + f"{total.replace('%', '%%')}%s\n"


class _Collected:
    """What generate_latest asks of a registry."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that were collected already."""
        return self._metrics


def render(registry: CollectorRegistry) -> bytes:
    """Return everything that the registry collects in the text format."""
    metrics = list(registry.collect())
    histograms = [one for one in metrics if isinstance(one, HistogramFamily)]
    rest = _Collected([one for one in metrics if not isinstance(one, HistogramFamily)])
    text = "".join(family.text() for family in histograms)
    return generate_latest(rest) + text.encode("utf-8", "replace")
