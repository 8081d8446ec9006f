"""What the ending of a metric's name says about its unit, and the base unit that Prometheus wants instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Quantity = Literal["time", "moment", "share", "size", "rate", "temperature", "count", "unknown"]


@dataclass(frozen=True, slots=True)
class Suffix:
    """An ending as users write it: it becomes `kept` + `base`, and values are multiplied by `factor`.

    `kept` is the part that belongs to the name rather than to the unit; `unit` is the user's unit for people.
    """

    written: str
    kept: str
    base: str
    factor: float
    quantity: Quantity
    unit: str


# The first ending that fits counts, so a longer one stands before its own end. `_mbps` is missing on purpose: it is
# megabits to one person and megabytes to the next.
SUFFIXES = (
    Suffix("_timestamp_seconds", "_timestamp", "_seconds", 1.0, "moment", "s"),
    Suffix("_mb_per_second", "", "_bytes_per_second", 1e6, "rate", "MB/s"),
    Suffix("_mb_per_sec", "", "_bytes_per_second", 1e6, "rate", "MB/s"),
    Suffix("_mb_per_s", "", "_bytes_per_second", 1e6, "rate", "MB/s"),
    Suffix("_mb_s", "", "_bytes_per_second", 1e6, "rate", "MB/s"),
    Suffix("_bytes_per_second", "", "_bytes_per_second", 1.0, "rate", "bytes/s"),
    Suffix("_bytes_per_sec", "", "_bytes_per_second", 1.0, "rate", "bytes/s"),
    Suffix("_per_second", "_per_second", "", 1.0, "rate", "/s"),
    Suffix("_per_sec", "_per_second", "", 1.0, "rate", "/s"),
    Suffix("_per_s", "_per_second", "", 1.0, "rate", "/s"),
    Suffix("_nanoseconds", "", "_seconds", 1e-9, "time", "ns"),
    Suffix("_microseconds", "", "_seconds", 1e-6, "time", "us"),
    Suffix("_milliseconds", "", "_seconds", 1e-3, "time", "ms"),
    Suffix("_seconds", "", "_seconds", 1.0, "time", "s"),
    Suffix("_minutes", "", "_seconds", 60.0, "time", "min"),
    Suffix("_ns", "", "_seconds", 1e-9, "time", "ns"),
    Suffix("_us", "", "_seconds", 1e-6, "time", "us"),
    Suffix("_ms", "", "_seconds", 1e-3, "time", "ms"),
    Suffix("_s", "", "_seconds", 1.0, "time", "s"),
    # A time without a unit is in milliseconds, as in record_metric("api_response_time", 150.5).
    Suffix("_time", "_time", "_seconds", 1e-3, "time", "ms"),
    Suffix("_time_to_first_token", "_time_to_first_token", "_seconds", 1e-3, "time", "ms"),
    Suffix("_duration", "_duration", "_seconds", 1e-3, "time", "ms"),
    Suffix("_latency", "_latency", "_seconds", 1e-3, "time", "ms"),
    Suffix("_percentage", "", "_ratio", 1e-2, "share", "percent"),
    Suffix("_percent", "", "_ratio", 1e-2, "share", "percent"),
    Suffix("_pct", "", "_ratio", 1e-2, "share", "percent"),
    Suffix("_ratio", "", "_ratio", 1.0, "share", "ratio"),
    Suffix("_bytes", "", "_bytes", 1.0, "size", "bytes"),
    Suffix("_kb", "", "_bytes", 1e3, "size", "kB"),
    Suffix("_mb", "", "_bytes", 1e6, "size", "MB"),
    Suffix("_gb", "", "_bytes", 1e9, "size", "GB"),
    Suffix("_kib", "", "_bytes", 1024.0, "size", "KiB"),
    Suffix("_mib", "", "_bytes", 1024.0**2, "size", "MiB"),
    Suffix("_gib", "", "_bytes", 1024.0**3, "size", "GiB"),
    Suffix("_celsius", "", "_celsius", 1.0, "temperature", "celsius"),
    Suffix("_total", "", "_total", 1.0, "count", ""),
)
_NONE = Suffix("", "", "", 1.0, "unknown", "")


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric's name in base units: value in base units = user's value x factor."""

    stem: str  # what is measured, without a unit: api_response_time
    name: str  # with the base unit: api_response_time_seconds
    factor: float
    quantity: Quantity
    unit: str  # the unit that the user's own values are in


def measure(name: str) -> Measure:
    """Return what a user's name says: `api_response_time_ms` is `api_response_time_seconds`, factor 0.001."""
    # A suffix may be the whole name, as in `time_to_first_token`.
    marked = f"_{name}"
    lowered = marked.lower()
    suffix = next((one for one in SUFFIXES if lowered.endswith(one.written)), _NONE)
    stem = (marked[: len(marked) - len(suffix.written)] + suffix.kept).removeprefix("_")
    return Measure(stem, (stem + suffix.base).removeprefix("_"), suffix.factor, suffix.quantity, suffix.unit)
