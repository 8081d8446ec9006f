"""Families in the text formats, byte for byte as prometheus_client writes them, 18 to 32 times as fast.

The names and labels of a series never change, so its lines are cached as one `%` template, and a scrape only fills in
the numbers (`python benchmarks/instrument_render.py` measures it).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from perfloop_base.exposition import exemplar, format_number, head, label_set, openmetrics_head
from perfloop_exporter.metrics.families import AnyFamily, Descriptor

if TYPE_CHECKING:
    from perfloop_exporter.metrics.series import CounterSeries, Exemplar, GaugeSeries, HistogramSeries, Labels

# Go uses an exponent from seven digits before the point on; smaller integers are written as they are.
_PLAIN_INTEGERS = 1_000_000

log = logging.getLogger("perfloop")
_failed: set[str] = set()

Write = Callable[[list[str], Descriptor, Any], None]


def render(families: Iterable[AnyFamily]) -> bytes:
    """Return the families in Prometheus's text format 0.0.4."""
    return _render(families, head, _WRITERS)


def render_openmetrics(families: Iterable[AnyFamily]) -> bytes:
    """Return the families in OpenMetrics 1.0, with exemplars, without the closing `# EOF`."""
    return _render(families, openmetrics_head, _OPENMETRICS_WRITERS)


def _render(families: Iterable[AnyFamily], start: Callable[[str, str, str], str], writers: dict[str, Write]) -> bytes:
    lines: list[str] = []
    for family in families:
        described = family.descriptor
        length = len(lines)
        try:
            lines.append(start(described.name, described.kind, described.help))
            write = writers[described.kind]
            for series in family.series():
                write(lines, described, series)
        except Exception:
            # Every way to a series checks what it is given; what still slips through costs its own family only.
            del lines[length:]
            if described.name not in _failed:
                _failed.add(described.name)
                log.exception("Metric %r cannot be written: the other metrics are exported", described.name)
    return "".join(lines).encode("utf-8", "replace")


def _write_counter(lines: list[str], described: Descriptor, series: CounterSeries) -> None:
    if series.text is None:
        series.text = f"{described.name}{_braces(series.labels)} "
    lines.append(f"{series.text}{format_number(series.total)}\n")


def _write_gauge(lines: list[str], described: Descriptor, series: GaugeSeries) -> None:
    if series.text is None:
        series.text = f"{described.name}{_braces(series.labels)} "
    lines.append(f"{series.text}{format_number(series.value)}\n")


def _write_histogram(lines: list[str], described: Descriptor, series: HistogramSeries) -> None:
    counts, total = series.read()
    count = counts[-1]
    form = "%d.0" if count < _PLAIN_INTEGERS else "%s"
    # One template is kept, not one for each form: with 166 buckets it takes 20 kB.
    if series.text is None or series.text[0] != form:
        series.text = form, _histogram_template(described, series.labels, form)
    template = series.text[1]
    # The buckets, then `_count` and `_sum`, in the order of the lines.
    if count < _PLAIN_INTEGERS:
        lines.append(template % (*counts, count, format_number(total)))
    else:
        lines.append(template % (*map(format_number, counts), format_number(count), format_number(total)))


def _histogram_template(described: Descriptor, labels: Labels, form: str) -> str:
    lines = _bucket_heads(described, labels)
    text = _braces(labels)
    heads = [*lines, f"{described.name}_count{text} ", f"{described.name}_sum{text} "]
    *integers, total = [head.replace("%", "%%") for head in heads]
    return "".join(f"{head}{form}\n" for head in integers) + f"{total}%s\n"


def _bucket_heads(described: Descriptor, labels: Labels) -> list[str]:
    bounds = (*described.bounds, math.inf)
    return [f"{described.name}_bucket{_braces((*labels, ('le', format_number(bound))))} " for bound in bounds]


def _write_histogram_openmetrics(lines: list[str], described: Descriptor, series: HistogramSeries) -> None:
    exemplars = series.exemplars.copy()
    if not exemplars:
        _write_histogram(lines, described, series)
        return
    counts, total = series.read()
    for bucket, (start, count) in enumerate(zip(_bucket_heads(described, series.labels), counts, strict=True)):
        kept = exemplars.get(bucket)
        lines.append(f"{start}{format_number(count)}{_exemplar(kept) if kept else ''}\n")
    text = _braces(series.labels)
    lines.append(f"{described.name}_count{text} {format_number(counts[-1])}\n")
    lines.append(f"{described.name}_sum{text} {format_number(total)}\n")


_WRITERS: dict[str, Write] = {"counter": _write_counter, "gauge": _write_gauge, "histogram": _write_histogram}
_OPENMETRICS_WRITERS: dict[str, Write] = _WRITERS | {"histogram": _write_histogram_openmetrics}


def _braces(labels: Labels) -> str:
    return label_set(sorted(labels))


def _exemplar(kept: Exemplar) -> str:
    return exemplar(sorted(kept.labels), kept.value, kept.timestamp_seconds)
