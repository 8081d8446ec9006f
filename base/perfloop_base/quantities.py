"""Numbers with their unit, as every program writes them for people: 200 ms, 5%, 50 MB/s, 12.5/s."""

from __future__ import annotations

import math

# From the largest: the first size that the number reaches is used, the last one for everything smaller.
_BYTES = ((1e12, " TB"), (1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B"))
_SIZES = {
    "seconds": ((1.0, " s"), (1e-3, " ms"), (1e-6, " µs")),
    "bytes": _BYTES,
    "bytes_per_second": tuple((size, f"{name}/s") for size, name in _BYTES),
    "ratio": ((0.01, "%"),),
    "per_second": ((1.0, "/s"),),
    "number": ((1.0, ""),),
    "": ((1.0, ""),),
}
_SPANS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"))
MISSING = "-"


def quantity(value: float | None, unit: str, digits: int = 3) -> str:
    """Return a number of a base unit with its unit, rounded to `digits` significant digits.

    Digits before the point are never rounded away. An unknown unit is a noun: 3 cores. No number is a dash.
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    sizes = _SIZES.get(unit) or ((1.0, f" {unit}"),)
    # Zero has no size of its own and is written in the base unit: 0 s, 0 B.
    size, name = next((one for one in sizes if abs(value or 1.0) >= one[0]), sizes[-1])
    scaled = value / size
    if math.isinf(scaled):  # a share of 1e307 has no float in percent
        return f"{value:g}"
    return f"{_rounded(scaled, digits)}{name}"


def _rounded(value: float, digits: int) -> str:
    if not value:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def span(seconds: float) -> str:
    """Return how long something lasts, in whole numbers of its largest unit."""
    for size, name in _SPANS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
