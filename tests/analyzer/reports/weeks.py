"""A week with every kind of thing in it, some of it hostile."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from perfloop_analyzer.recommend import Improvement, Recommendation
from perfloop_analyzer.reports.alerts import AlertFacts, build_alerts
from perfloop_analyzer.reports.history import HOUR_SECONDS, RATE, HistoryFacts, build_history
from perfloop_analyzer.reports.optimization import OptimizationFacts, build_optimization
from perfloop_analyzer.reports.review import Parts
from perfloop_analyzer.reports.window import Window
from perfloop_analyzer.series import Batch, Grid

WINDOW = Window(1_000_000_000.0, 1_000_000_000.0 + 7 * 86_400.0, ZoneInfo("UTC"))
MADE = WINDOW.end + 8 * HOUR_SECONDS
GAIN = Improvement(0.45, 0.3, 0.6, "api_response_time_p95", "queue", "e", "API response time of demo")
LIFE = (("open", "open"), ("accept", "accepted"), ("implement", "implemented"), ("validate", "validated"))
HOSTILE = "</figure><script>alert(1)</script>|`*\x1b[31m\u202e"


def advice(identifier: str = "slow-1", title: str = "An index", **values: Any) -> Recommendation:
    """A recommendation with an expected gain."""
    whole = ("slow_queries", "demo", "database", "database", "high", title, "add it", "low", "none", ("x",), ({},))
    return Recommendation(identifier, *whole, improvement=GAIN, created=WINDOW.start, values=values)


def events(*moments: float) -> list[dict[str, Any]]:
    """A life whose steps were taken at these moments."""
    return [{"at": at, "step": step, "state": state} for at, (step, state) in zip(moments, LIFE, strict=False)]


def make_parts() -> Parts:
    """What a report of that week is composed of."""
    grid = Grid(WINDOW.start + 120.0, 120.0, 5040)
    rows = np.zeros((12, 5040))
    for number in range(12):
        for turn in range(number + 1):
            rows[number, 300 * turn : 300 * turn + 40] = 1.0
    rows[0, -9:] = 1.0
    labels = tuple(
        {
            "alertname": HOSTILE if number == 1 else f"Alert{number}",
            "service": "demo",
            "severity": "critical" if number < 2 else "warning",
        }
        for number in range(12)
    )
    covered = np.arange(5040) >= 100
    alerts = build_alerts(AlertFacts(Batch("alerts", grid, labels, rows), covered, (), (), (), ()), WINDOW)
    hours = Grid(WINDOW.end - HOUR_SECONDS * 839, HOUR_SECONDS, 840)
    services = tuple({"service": HOSTILE if number == 0 else f"service{number}"} for number in range(7))
    rates = np.vstack([np.full(840, 100.0 - number) for number in range(7)])
    history = build_history(HistoryFacts({RATE: Batch(RATE, hours, services, rates)}), WINDOW)
    many = [advice(f"slow-{number}", HOSTILE if number == 0 else f"Advice {number}") for number in range(9)]
    lives = {one.id: events(WINDOW.start + 1) for one in many}
    return Parts(alerts, history, build_optimization(OptimizationFacts(many, lives), WINDOW))
