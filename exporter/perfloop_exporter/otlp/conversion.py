"""From the families of a page to OpenTelemetry's metrics, so that Prometheus makes the same series of both.

Names are sent as they are on the page. A receiver that appends suffixes (Prometheus's default) appends `_total` to a
monotonic sum and the unit to every name that does not hold it already, so that these stay as they are, too. What would
get another name that way goes as a gauge, which none of them renames: a counter without `_total`, or with it twice.
Rules: https://github.com/prometheus/otlptranslator/blob/main/metric_namer.go
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.sdk.metrics import export
    from prometheus_client import Metric
    from prometheus_client.samples import Sample

_NANOSECONDS = 1_000_000_000
# UCUM's codes of the units that a name of Prometheus ends with.
_UNITS = {
    "amperes": "A",
    "bytes": "By",
    "celsius": "Cel",
    "hertz": "Hz",
    "joules": "J",
    "ratio": "1",
    "seconds": "s",
    "volts": "V",
    "watts": "W",
}
_UNUSUAL_COUNTER = re.compile(r"^(# TYPE \S+(?<!_total)) counter$", re.MULTILINE)
_HEX_TRACE, _HEX_SPAN = 32, 16
_HEX = frozenset("0123456789abcdef")
Key = tuple[tuple[str, str], ...]


class Moments(NamedTuple):
    """Nanoseconds of Unix time: when the page was read, and since when its counters count."""

    now: int
    start: int


def unit_of(name: str) -> str:
    """Return the unit that a metric's name ends with, in UCUM's code; empty where it names none."""
    return _UNITS.get(name.removesuffix("_total").rpartition("_")[2], "")


def read_page(text: str) -> Iterable[Metric]:
    """Return the families of a page in the text format.

    prometheus_client's parser appends `_total` to a counter that has no such name: it is read as what has no type.
    """
    from prometheus_client.parser import text_string_to_metric_families

    return text_string_to_metric_families(_UNUSUAL_COUNTER.sub(r"\1 untyped", text))


def convert(families: Iterable[Metric], moments: Moments) -> tuple[list[export.Metric], list[str]]:
    """Return the metrics of the families, and the names of those that cannot be sent."""
    metrics: list[export.Metric] = []
    lost: list[str] = []
    rest = iter(families)
    while True:
        try:
            family = next(rest, None)
        except Exception as error:  # noqa: BLE001 - a collector of the application: what came before it is sent
            lost.append(f"what follows ({type(error).__name__})")
            break
        if family is None:
            break
        try:
            metrics += _metrics_of(family, moments)
        except Exception:  # noqa: BLE001 - what an application has put on its page; the other families are sent
            lost.append(family.name)
    return metrics, lost


def _metrics_of(family: Metric, moments: Moments) -> list[export.Metric]:
    if family.type == "histogram":
        return [_histogram(family, moments)] if family.samples else []
    created = {
        _key(sample.labels): _nanoseconds(sample.value) for sample in family.samples if sample.name.endswith("_created")
    }
    by_name: dict[str, list[Sample]] = {}
    for sample in family.samples:
        if not (family.type in ("counter", "summary") and sample.name.endswith("_created")):
            by_name.setdefault(sample.name, []).append(sample)
    return [
        _numbers(name, family, [_number(sample, moments, created) for sample in samples])
        for name, samples in by_name.items()
    ]


def _numbers(name: str, family: Metric, points: list[export.NumberDataPoint]) -> export.Metric:
    from opentelemetry.sdk.metrics import export

    monotonic = family.type == "counter" and name.endswith("_total") and name.split("_").count("total") == 1
    data: Any = export.Gauge(points)
    if monotonic:
        data = export.Sum(points, export.AggregationTemporality.CUMULATIVE, is_monotonic=True)
    return export.Metric(name, family.documentation, unit_of(name), data)


def _number(sample: Sample, moments: Moments, created: Mapping[Key, int]) -> export.NumberDataPoint:
    from opentelemetry.sdk.metrics import export

    return export.NumberDataPoint(
        attributes=dict(sample.labels),
        start_time_unix_nano=created.get(_key(sample.labels), moments.start),
        time_unix_nano=_nanoseconds(sample.timestamp) if sample.timestamp else moments.now,
        value=float(sample.value),
        exemplars=_exemplars([sample]),
    )


@dataclass(slots=True)
class _Parts:
    """The samples of one histogram series."""

    buckets: list[tuple[float, Sample]] = field(default_factory=list)
    count: float | None = None
    total: float = 0.0
    created: int | None = None
    at: int | None = None


def _histogram(family: Metric, moments: Moments) -> export.Metric:
    from opentelemetry.sdk.metrics import export

    by_labels: dict[Key, _Parts] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        parts = by_labels.setdefault(_key(labels), _Parts())
        if sample.timestamp:
            parts.at = _nanoseconds(sample.timestamp)
        if sample.name.endswith("_bucket"):
            parts.buckets.append((float(sample.labels["le"]), sample))
        elif sample.name.endswith("_count"):
            parts.count = sample.value
        elif sample.name.endswith("_sum"):
            parts.total = sample.value
        elif sample.name.endswith("_created"):
            parts.created = _nanoseconds(sample.value)
    points = [_histogram_point(key, parts, moments) for key, parts in by_labels.items()]
    data = export.Histogram(points, export.AggregationTemporality.CUMULATIVE)
    return export.Metric(family.name, family.documentation, unit_of(family.name), data)


def _histogram_point(key: Key, parts: _Parts, moments: Moments) -> export.HistogramDataPoint:
    """Return one series; the page's buckets add up, those of OTLP do not.

    Raises:
        ValueError: The buckets do not make a histogram.
    """
    from opentelemetry.sdk.metrics import export

    buckets = sorted(parts.buckets, key=lambda bucket: bucket[0])
    totals = [0.0, *(sample.value for _, sample in buckets)]
    counts = [int(high - low) for low, high in pairwise(totals)]
    if not buckets or not math.isinf(buckets[-1][0]) or min(counts) < 0:
        raise ValueError("the buckets do not add up")
    unset: Any = None  # of what the page does not have: the message leaves it out
    return export.HistogramDataPoint(
        attributes=dict(key),
        start_time_unix_nano=parts.created or moments.start,
        time_unix_nano=parts.at or moments.now,
        count=int(totals[-1] if parts.count is None else parts.count),
        sum=float(parts.total),
        bucket_counts=counts,
        explicit_bounds=[bound for bound, _ in buckets[:-1]],
        min=unset,
        max=unset,
        exemplars=_exemplars([sample for _, sample in buckets]),
    )


def _exemplars(samples: Iterable[Sample]) -> list[Any]:
    return list(_iter_exemplars(samples))


def _iter_exemplars(samples: Iterable[Sample]) -> Iterator[Any]:
    from opentelemetry.sdk.metrics import Exemplar

    for sample in samples:
        kept = sample.exemplar
        if kept is None:
            continue
        labels = dict(kept.labels)
        trace, span = labels.get("trace_id", ""), labels.get("span_id", "")
        # The fields of the message where both ids are ids; else they stay what they are on the page, labels.
        is_linked = _is_hex(trace, _HEX_TRACE) and _is_hex(span, _HEX_SPAN)
        for name in ("trace_id", "span_id") if is_linked else ():
            del labels[name]
        yield Exemplar(
            filtered_attributes=labels,
            value=float(kept.value),
            time_unix_nano=_nanoseconds(kept.timestamp or 0),
            span_id=int(span, 16) if is_linked else None,
            trace_id=int(trace, 16) if is_linked else None,
        )


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and _HEX.issuperset(text)


def _key(labels: Mapping[str, str]) -> Key:
    return tuple(sorted(labels.items()))


def _nanoseconds(seconds: Any) -> int:
    return round(float(seconds) * _NANOSECONDS)
