"""Capacity in words: no more digits than the figures carry."""

from __future__ import annotations

import math
from datetime import UTC, datetime

DIGITS = 2
FEW = 1.0  # requests per second; below it a rate is said with its own digits
LABELS = {"response_time": "the response time", "contention": "contention between requests", "cpu": "CPU"}


def rounded(value: float) -> str:
    """Return a positive number with two digits that count: 1234.5 is 1,200."""
    if not math.isfinite(value):
        return "any number"
    if value <= 0:
        return "0"
    places = DIGITS - 1 - math.floor(math.log10(value))
    return f"{round(value, places):,.{max(places, 0)}f}"


def rate_words(value: float) -> str:
    """Return a rate in words."""
    return f"{rounded(value)} requests/s"


def resource_words(resource: str) -> str:
    """Return what people call a resource."""
    return LABELS.get(resource, resource.replace("_", " "))


def day_words(at: float) -> str:
    """Return the day of a moment in Unix seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
