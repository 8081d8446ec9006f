"""Numbers and moments as a person writes them."""

from datetime import UTC, datetime

UNITS = {"seconds": "s", "ratio": "", "bytes": "B", "per_second": "/s", "bytes_per_second": "B/s"}
GOOD, FAIR = 90, 70


def clock(seconds: float) -> str:
    """Return a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


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


def mood(score: float) -> str:
    """Return the word for a score."""
    return "good" if score >= GOOD else "fair" if score >= FAIR else "bad"
