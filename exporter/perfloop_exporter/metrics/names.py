"""The user's metric names as Prometheus wants them: a prefix, base units, a suffix that says the unit."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfloop_exporter.metrics.families import Kind

PREFIX = "app_"


@dataclass(frozen=True, slots=True)
class WireName:
    """How one of the user's metrics goes out: wire value = user's value x factor."""

    name: str
    kind: Kind
    factor: float
    unit: str


# suffix as the user writes it -> suffix on the wire, factor to the base unit, kind, the user's unit
_UNITS: tuple[tuple[str, str, float, Kind, str], ...] = (
    ("_timestamp_seconds", "_timestamp_seconds", 1.0, "gauge", "s"),
    ("_nanoseconds", "_seconds", 1e-9, "histogram", "ns"),
    ("_microseconds", "_seconds", 1e-6, "histogram", "us"),
    ("_milliseconds", "_seconds", 1e-3, "histogram", "ms"),
    ("_seconds", "_seconds", 1.0, "histogram", "s"),
    ("_minutes", "_seconds", 60.0, "histogram", "min"),
    ("_ns", "_seconds", 1e-9, "histogram", "ns"),
    ("_us", "_seconds", 1e-6, "histogram", "us"),
    ("_ms", "_seconds", 1e-3, "histogram", "ms"),
    ("_s", "_seconds", 1.0, "histogram", "s"),
    # A time without a unit is in milliseconds, as in record_metric("api_response_time", 150.5).
    ("_time", "_time_seconds", 1e-3, "histogram", "ms"),
    ("_duration", "_duration_seconds", 1e-3, "histogram", "ms"),
    ("_latency", "_latency_seconds", 1e-3, "histogram", "ms"),
    ("_percent", "_ratio", 1e-2, "gauge", "percent"),
    ("_pct", "_ratio", 1e-2, "gauge", "percent"),
    ("_ratio", "_ratio", 1.0, "gauge", "ratio"),
    ("_bytes", "_bytes", 1.0, "gauge", "bytes"),
    ("_kb", "_bytes", 1e3, "gauge", "kB"),
    ("_mb", "_bytes", 1e6, "gauge", "MB"),
    ("_gb", "_bytes", 1e9, "gauge", "GB"),
    ("_kib", "_bytes", 1024.0, "gauge", "KiB"),
    ("_mib", "_bytes", 1024.0**2, "gauge", "MiB"),
    ("_gib", "_bytes", 1024.0**3, "gauge", "GiB"),
    ("_celsius", "_celsius", 1.0, "gauge", "celsius"),
    ("_total", "_total", 1.0, "counter", ""),
)
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_]+")


@functools.lru_cache(maxsize=2048)
def wire_name(name: str) -> WireName:
    """`api_response_time_ms` -> `app_api_response_time_seconds`, a histogram, factor 0.001."""
    clean = _FORBIDDEN.sub("_", name).strip("_") or "unnamed"
    if not clean.startswith(PREFIX):
        clean = PREFIX + clean
    for suffix, wire_suffix, factor, kind, unit in _UNITS:
        if clean.lower().endswith(suffix):
            return WireName(clean[: -len(suffix)] + wire_suffix, kind, factor, unit)
    return WireName(clean, "gauge", 1.0, "")


def label_name(name: str) -> str:
    """A tag's name as a label: letters, digits and underscores; `__` in front and `le` are Prometheus' own."""
    clean = _FORBIDDEN.sub("_", name).lstrip("_") or "unnamed"
    return f"tag_{clean}" if clean[0].isdigit() or clean in {"le", "quantile"} else clean
