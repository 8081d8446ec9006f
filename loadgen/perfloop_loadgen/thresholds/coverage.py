"""Whether every step of a file's scenarios was sent: a run that never came to one says nothing about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perfloop_loadgen.outcomes import MISSING_VALUE, OK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_loadgen.config import ScenarioConfig
    from perfloop_loadgen.samples.book import Book
    from perfloop_loadgen.samples.tally import Tally

_MOST_NAMES = 5


@dataclass(slots=True)
class Coverage:
    """The scenarios with steps that were never sent, one sentence each.

    Attributes:
        failures: those whose passes ended before the step.
        notes: those for which the run was too short.
    """

    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def cover(scenarios: Sequence[ScenarioConfig], book: Book) -> Coverage:
    """Return which steps were never sent, and why."""
    found = Coverage()
    steps = book.total().steps
    rows = dict(book.rows())
    for number, scenario in enumerate(scenarios):
        places = range(1, len(scenario.steps) + 1)
        missed = next((place for place in places if not steps.get((number, place, False))), None)
        if missed is None:
            continue
        label = scenario.steps[missed - 1].label
        what = f"step {missed} ({label}) of scenario {scenario.name!r} was never sent"
        broken = {place: steps.get((number, place, True), 0) for place in range(missed)}
        if any(broken.values()):
            found.failures.append(f"{what}: {_reason(scenario, broken, rows)}")
        else:
            found.notes.append(f"{what}: the run ended before any user came to it")
    return found


def _reason(scenario: ScenarioConfig, broken: Mapping[int, int], rows: Mapping[str, Tally]) -> str:
    """Return where the passes of a scenario broke off, and what went wrong there."""
    worst = max(broken, key=broken.__getitem__)
    passes = f"{sum(broken.values())} passes ended before it"
    if not worst:
        return f"{passes}, before the first request"
    label = scenario.steps[worst - 1].label
    row = rows.get(label)
    outcomes = _outcomes(row) if row is not None else ""
    return f"{passes}, most of them at step {worst} ({label}{f': {outcomes}' if outcomes else ''})"


def _outcomes(row: Tally) -> str:
    """Return how the requests of a row failed, the most frequent first; missing values with their names."""
    failed = sorted(((count, name) for name, count in row.outcomes.items() if name != OK), reverse=True)
    missing = [name for outcome, name in row.details if outcome == MISSING_VALUE]
    named = {MISSING_VALUE: f"{MISSING_VALUE} {', '.join(missing[:_MOST_NAMES])}"}
    return ", ".join(named.get(name, name) for _, name in failed[:_MOST_NAMES])
