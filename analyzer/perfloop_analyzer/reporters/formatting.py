"""Moments, scores and names as the page, the report and the terminal show them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop_analyzer.findings import OVERALL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_analyzer.ports import Health

GOOD, FAIR = 90, 70


def less_words(share: float) -> str:
    """Return a reduction for people, in whole percent: `12% less`, or `3% more`."""
    whole = round(share, 2)
    return f"{abs(whole):.0%} {'less' if whole >= 0 else 'more'}"


def clock(seconds: float) -> str:
    """Return a moment, given in Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def mood(score: float) -> str:
    """Return the word for a health score: good from 90 on, fair from 70 on, else bad."""
    return "good" if score >= GOOD else "fair" if score >= FAIR else "bad"


def shown_penalties(health: Health) -> list[tuple[str, str]]:
    """Return (signal, points) of every penalty that does not round to zero points."""
    rounded = ((signal, f"{cost:.0f}") for signal, cost in health.penalties.items())
    return [(signal, points) for signal, points in rounded if points != "0"]


def worst_first(health: Iterable[Health]) -> list[Health]:
    """Return the overall health first, then the services by rising score."""
    return sorted(health, key=lambda one: (one.service != OVERALL, one.score, one.service))
