"""What load tests found: the newest capacity of each service, as the load generator publishes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.planning.capacity.asked import DAY, HOUR
from perfloop_analyzer.series import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.planning.situation import Situation


@dataclass(frozen=True, slots=True)
class Tested:
    """The capacity that a load test found, of all replicas that ran then.

    Attributes:
        test: The name of the test.
        at: When it began, in Unix seconds.
        lower, expected, upper: Requests per second; the last two None where no rate broke a threshold.
        replicas: How many ran then; None where that is no longer known.
    """

    test: str
    at: float
    lower: float
    expected: float | None
    upper: float | None
    replicas: int | None


def newest_test(service: str, situation: Situation) -> Tested | None:
    """Return the newest load test that found a capacity of a service; None without one."""
    found: dict[str, dict[str, float]] = {}
    names: dict[str, str] = {}
    for labels, value in _rows(situation, "plan_tested"):
        if labels.get("tested_service") == service:
            run = labels.get("run_id", "")
            found.setdefault(run, {})[labels.get("bound", "")] = value
            names[run] = labels.get("test", "")
    began = {labels.get("run_id", ""): value for labels, value in _rows(situation, "plan_tested_at")}
    runs = [run for run, bounds in found.items() if "lower" in bounds and run in began]
    if not runs:
        return None
    run = max(runs, key=lambda one: began[one])
    bounds, at = found[run], began[run]
    return Tested(
        names[run], at, bounds["lower"], bounds.get("expected"), bounds.get("upper"), _replicas(service, situation, at)
    )


def _rows(situation: Situation, name: str) -> list[tuple[Mapping[str, str], float]]:
    batch = situation.answers.get(name)
    if batch is None:
        return []
    values = current(batch.values)
    return [(one, float(value)) for one, value in zip(batch.labels, values, strict=True) if np.isfinite(value)]


def _replicas(service: str, situation: Situation, at: float) -> int | None:
    """Return how many replicas ran at a moment; None where the answers do not reach so far."""
    for prefix in (HOUR, DAY):
        batch, course = situation.answers.get(f"{prefix}replicas"), situation.course(f"{prefix}replicas", service)
        if batch is None or course is None or at < batch.grid.start:
            continue
        # A run begins between two points, and the service may have begun just before it.
        near = course[max(batch.grid.split(at) - 1, 0) : batch.grid.split(at) + 2]
        if np.isfinite(near).any():
            return max(1, round(float(np.nanmax(near))))
    return None
