"""Numbers and names as reports write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

UNKNOWN = "not known"
CHANNEL_NAMES = {"slack": "Slack", "email": "e-mail", "pagerduty": "PagerDuty", "webhook": "webhooks", "page": "page"}


def rate(value: float | None) -> str:
    """Return a request rate: no digits behind the third."""
    return UNKNOWN if value is None else quantity(value, "per_second")


def change(ratio: float | None) -> str:
    """Return a change as a signed share; what rounds to nothing has no sign."""
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    shown = round(100 * ratio)
    return f"{shown:+d}%" if shown else "no change"


def factor(ratio: float | None) -> str:
    """Return how many times something fits: 4.4 times; above a hundred no digit of it says anything."""
    if ratio is None or not math.isfinite(ratio):
        return UNKNOWN
    return "over 100 times" if ratio > 100 else f"{quantity(ratio, 'number', 2)} times"  # noqa: PLR2004 - as it says


def bounded(bounds: Mapping[str, float], unit: str = "per_second") -> str:
    """Return an expected value with its bounds; without an expected one the bounds alone."""
    middle = bounds.get("expected")
    ends = [value for name, value in bounds.items() if name != "expected" and math.isfinite(value)]
    interval = f"{quantity(min(ends), unit)} to {quantity(max(ends), unit)}" if len(ends) > 1 else ""
    if middle is None:
        return interval or UNKNOWN
    return f"{quantity(middle, unit)}{f' ({interval})' if interval else ''}"


def money(amount: float | None, currency: str) -> str:
    """Return an amount per month, rounded to whole units of its currency; small ones to cents."""
    if amount is None or not math.isfinite(amount) or not currency:
        return UNKNOWN
    return f"{amount:,.0f} {currency} a month" if abs(amount) >= 10 else f"{amount:,.2f} {currency} a month"  # noqa: PLR2004 - below, cents count


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: 1 alert, 3 alerts."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def channels(informed: Mapping[str, int]) -> str:
    """Return by which channels messages arrived: Slack 2, e-mail 1."""
    return ", ".join(f"{CHANNEL_NAMES.get(name, name)} {count}" for name, count in sorted(informed.items()))


def joined(names: list[str], most: int = 3) -> str:
    """Return the first names as a list in words, and how many more there are."""
    shown, rest = names[:most], len(names) - most
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))
