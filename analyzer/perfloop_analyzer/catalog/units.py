"""Numbers with their unit, as a person writes them."""

from __future__ import annotations

UNITS = {"seconds": "s", "ratio": "", "bytes": "B", "per_second": "/s", "bytes_per_second": "B/s"}


def quantity(value: float, unit: str) -> str:
    """Return a number with its unit, short."""
    if unit == "ratio":
        return f"{value:.1%}"
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit.startswith("bytes") and abs(value) >= limit:
            return f"{value / limit:.3g} {letter}{UNITS[unit]}"
    if unit == "seconds" and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} {UNITS.get(unit, unit)}".rstrip()
