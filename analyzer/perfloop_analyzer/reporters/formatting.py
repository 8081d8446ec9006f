"""Moments and scores as a person writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfloop_analyzer.findings import OVERALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_analyzer.ports import Health

GOOD, FAIR = 90, 70
# Metrics that recommendations promise to improve and that no finding names.
METRICS = {"api_latency_mean": "mean response time", "db_time_per_second": "time spent waiting for the database"}


def clock(seconds: float) -> str:
    """Return a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def mood(score: float) -> str:
    """Return the word for a score."""
    return "good" if score >= GOOD else "fair" if score >= FAIR else "bad"


def metric_words(metric: str, titles: Mapping[str, str]) -> str:
    """Return what a person calls a metric."""
    return titles.get(metric) or METRICS.get(metric) or metric.replace("_", " ")


def worst_first(health: Iterable[Health]) -> list[Health]:
    """Return the whole first, then the services from the sickest to the soundest."""
    return sorted(health, key=lambda one: (one.service != OVERALL, one.score, one.service))
