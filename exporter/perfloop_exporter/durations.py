"""Durations as flags have them."""

from __future__ import annotations

from perfloop_exporter.errors import UsageError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def parse_duration(text: str, option: str) -> float:
    """Seconds of `500ms`, `2s` or `1m`; a collector's option is named in the complaint."""
    for unit, factor in UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit() and float(number) > 0:
            return float(number) * factor
    raise UsageError([f"--collector.{option}: '{text}' is not a duration such as 500ms, 2s or 1m"])
