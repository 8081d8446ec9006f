"""Families as Prometheus text, byte for byte what prometheus_client's generate_latest writes."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.metrics.families import AnyFamily
from exporter.metrics.series import CounterSeries, HistogramSeries, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_GO_EXPONENT_DIGITS = 6


def render(families: Iterable[AnyFamily]) -> bytes:
    """The text of all families."""
    lines: list[str] = []
    for family in families:
        described = family.descriptor
        text = described.help.replace("\\", r"\\").replace("\n", r"\n")
        lines.append(f"# HELP {described.name} {text}\n# TYPE {described.name} {described.kind}\n")
        for series in family.series():
            _write(lines, described.name, series)
    return "".join(lines).encode()


def _write(lines: list[str], name: str, series: Series) -> None:
    if isinstance(series, HistogramSeries):
        _write_histogram(lines, name, series)
        return
    value = series.total if isinstance(series, CounterSeries) else series.value
    lines.append(f"{name}{_braces(series.labels)} {format_float(value)}\n")


def _write_histogram(lines: list[str], name: str, series: HistogramSeries) -> None:
    series.fold()
    counts = series.cumulative()
    for bound, count in zip((*series.bounds, float("inf")), counts, strict=True):
        labels = (*series.labels, ("le", format_float(bound)))
        lines.append(f"{name}_bucket{_braces(labels)} {float(count)}\n")
    braces = _braces(series.labels)
    lines.append(f"{name}_count{braces} {float(counts[-1])}\n{name}_sum{braces} {format_float(series.total)}\n")


def _braces(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{escape(value)}"' for name, value in sorted(labels)) + "}"


def escape(value: str) -> str:
    """A label value as it stands between quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def format_float(value: float) -> str:
    """A number as Go prints it: Prometheus' own form."""
    if value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(float(value))
    dot = text.find(".")
    if value > 0 and dot > _GO_EXPONENT_DIGITS:
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    return text
