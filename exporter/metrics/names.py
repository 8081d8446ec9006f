"""The user's metric names as Prometheus wants them: base units, a prefix, a suffix that says the unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

AppKind = Literal["counter", "gauge", "histogram"]

# suffix as the user writes it -> (suffix on the wire, factor to the base unit, kind)
_UNITS: tuple[tuple[str, str, float, AppKind], ...] = (
    ("_milliseconds", "_seconds", 1e-3, "histogram"),
    ("_microseconds", "_seconds", 1e-6, "histogram"),
    ("_nanoseconds", "_seconds", 1e-9, "histogram"),
    ("_seconds", "_seconds", 1.0, "histogram"),
    ("_minutes", "_seconds", 60.0, "histogram"),
    ("_ms", "_seconds", 1e-3, "histogram"),
    ("_us", "_seconds", 1e-6, "histogram"),
    ("_ns", "_seconds", 1e-9, "histogram"),
    ("_percent", "_ratio", 1e-2, "gauge"),
    ("_ratio", "_ratio", 1.0, "gauge"),
    ("_kib", "_bytes", 1024.0, "gauge"),
    ("_mib", "_bytes", 1024.0**2, "gauge"),
    ("_gib", "_bytes", 1024.0**3, "gauge"),
    ("_kb", "_bytes", 1e3, "gauge"),
    ("_mb", "_bytes", 1e6, "gauge"),
    ("_gb", "_bytes", 1e9, "gauge"),
    ("_total", "_total", 1.0, "counter"),
)
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_]+")
PREFIX = "app_"


@dataclass(frozen=True, slots=True)
class WireName:
    """How one of the user's metrics goes out: wire value = user's value x factor."""

    name: str
    kind: AppKind
    factor: float
    unit: str


def wire_name(name: str) -> WireName:
    """`api_response_time_ms` -> `app_api_response_time_seconds`, a histogram, factor 0.001."""
    clean = _FORBIDDEN.sub("_", name).strip("_") or "unnamed"
    if not clean.startswith(PREFIX):
        clean = PREFIX + clean
    for suffix, wire_suffix, factor, kind in _UNITS:
        if clean.endswith(suffix):
            return WireName(clean.removesuffix(suffix) + wire_suffix, kind, factor, suffix[1:])
    return WireName(clean, "gauge", 1.0, "")
