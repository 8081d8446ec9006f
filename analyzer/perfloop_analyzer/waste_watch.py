"""Watches for waste: asks for days of use, and keeps what it learned of them until the next time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.ports import Query
from perfloop_analyzer.waste import KINDS, Known, Learned, find_waste, learn_uses, merge_waste
from perfloop_analyzer.waste.kinds import question, questions
from perfloop_base.durations import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.series import Batch

WASTE_SECONDS = 900.0  # between two questions: days of use change slowly
BY = {name: kind.by for kind in KINDS for name in questions(kind)}
COUNTERS = frozenset(question(kind, name) for kind in KINDS for name in kind.counters)


def waste_queries(step: float, window: str) -> list[Query]:
    """Return what to ask of the history; `step` is in seconds, `window` is the rate window, such as `1m`."""
    longer = format_duration(max(step, parse_duration(window)))
    return [
        Query(name, expr.replace("$step", longer).replace("$window", window))
        for kind in KINDS
        for name, expr in questions(kind).items()
    ]


class WasteWatch:
    """Knows what days of history say about the use of everything that has a size."""

    def __init__(self) -> None:
        self._learned: Learned = {}

    def note(self, batches: Mapping[str, Batch]) -> None:
        """Learn from new answers; a question without one keeps what was learned before."""
        self._learned = {**self._learned, **learn_uses(batches, BY, COUNTERS)}

    def add(
        self, result: Result, sizes: Mapping[str, Batch], catalog: Mapping[str, Signal], changes: Sequence[Change]
    ) -> Result:
        """Return a result with the recommendations against waste.

        Args:
            result: The result of a cycle, with its plan.
            sizes: The answers that it was made from.
            catalog: The signals by name.
            changes: What was changed lately.
        """
        capacities = {
            one.service: one.capacity.per_replica.lower for one in result.plan.services if one.capacity is not None
        }
        least = {
            (one.service, "replicas"): float(max(one.replicas.desired, one.replicas.settings.min_replicas))
            for one in result.plan.services
            if one.replicas is not None
        }
        waste = find_waste(self._learned, sizes, Known(result.at, catalog, capacities, least, changes))
        recommendations = merge_waste(result.recommendations, waste.recommendations, result.findings)
        return replace(result, recommendations=recommendations, wasted=waste.wasted)
