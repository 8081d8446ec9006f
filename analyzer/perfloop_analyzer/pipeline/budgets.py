"""Until when error budgets last at the present burn, for every objective that the recorded rules of slos.yml count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.burn import Spending, until_spent
from perfloop_analyzer.findings import Reading
from perfloop_analyzer.pipeline.trends import BOUNDS, UNTIL
from perfloop_analyzer.ports import Query
from perfloop_analyzer.series import aligned, current, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.series import Batch

BUDGET = "error_budget"
HOUR_SECONDS = 3600.0
# An objective is seldom asked of each route: what is recorded is of a service, and cheap to read.
LEFT, RATIO, EVENTS, OBJECTIVE = (f"{BUDGET}@{part}" for part in ("left", "1h", "events", "objective"))
QUERIES = {
    LEFT: "service_slo:slo_error_budget_left:ratio",
    RATIO: "service_slo:slo_errors:ratio_rate1h",
    EVENTS: f"avg_over_time(service_slo:slo_events:rate5m[1h]) * {HOUR_SECONDS:.0f}",
    OBJECTIVE: "service_slo:slo_objective:ratio",
}


def budget_queries() -> list[Query]:
    """Return the queries for what is left, what burns, out of how many events, and what is allowed."""
    return [Query(name, expr) for name, expr in QUERIES.items()]


def find_budgets(batches: Mapping[str, Batch]) -> list[Reading]:
    """Return the seconds until each budget is used up; none where it is not known, infinite where it lasts."""
    left = batches.get(LEFT)
    if left is None or not len(left):
        return []
    ratio, events, objective = (aligned(batches.get(name), left) for name in (RATIO, EVENTS, OBJECTIVE))
    three = until_spent(Spending(current(left.values), ratio, events, 1.0 - objective))
    readings = []
    for row, labels in enumerate(left.labels):
        numbers = dict(zip(BOUNDS, (float(one[row]) for one in three), strict=True))
        if np.isnan(numbers["expected"]):
            continue
        found = {bound: value for bound, value in numbers.items() if bound == "expected" or np.isfinite(value)}
        where = {"service": service_of(labels), "slo": labels.get("slo", "")}
        readings += [
            Reading(f"{UNTIL}:{bound}", BUDGET, where["service"], value, where) for bound, value in found.items()
        ]
    return readings
