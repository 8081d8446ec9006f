"""Which change a cause may come from: one of its service, not long before it began.

Most outages of large services follow a change of a live system (about 70%: Beyer et al., "Site Reliability
Engineering", 2016, chapter 1). So a cause whose service was changed within SUSPECTED_SECONDS before it began counts up
to twice as much, the more the shorter the time between them; a change long before raises nothing. What a load test or
the change of a called service began with is named as well, and raises nothing: those are seen by their own findings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.changes import Change, Kind
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perfloop_analyzer.incidents.topology import Topology

SUSPECTED_SECONDS = 600.0
JITTER_SECONDS = 30.0  # a change that is seen with the next scrape may come out after the start of what it caused
CALLEE = "api"
# How much a change of a kind is suspected, beside a deployment; words of people's own count as one.
_WEIGHTS: Mapping[str, float] = {
    Kind.RECOMMENDATION: 0.8,
    Kind.CONFIGURATION: 0.6,
    Kind.RESTART: 0.5,
    Kind.SCALE: 0.5,
    Kind.LOAD_TEST: 0.0,
}


@dataclass(frozen=True, slots=True)
class Suspected:
    """A change that a cause may come from; `factor` is what the cause's score is multiplied by."""

    change: Change
    factor: float
    sentence: str


def suspect_change(
    pair: tuple[str, str], onset: float, changes: Iterable[Change], topology: Topology
) -> Suspected | None:
    """Return the most suspicious change just before a cause began; None where there was none.

    Args:
        pair: The cause's service and component.
        onset: When it began, in Unix seconds.
        changes: What was changed, in any order.
        topology: Who calls whom.
    """
    return max(_candidates(pair, onset, changes, topology), key=lambda one: (one.factor, one.change.at), default=None)


def _candidates(
    pair: tuple[str, str], onset: float, changes: Iterable[Change], topology: Topology
) -> Iterator[Suspected]:
    for change in changes:
        delay = onset - change.at
        if not -JITTER_SECONDS <= delay <= SUSPECTED_SECONDS:
            continue
        is_own = change.service == pair[0]
        if is_own or change.kind == Kind.LOAD_TEST or topology.depends(pair, (change.service, CALLEE)):
            weight = _WEIGHTS.get(change.kind, 1.0) if is_own else 0.0
            closeness = 1.0 - max(delay, 0.0) / SUSPECTED_SECONDS
            yield Suspected(change, 1.0 + weight * closeness, _sentence(change, delay))


def _sentence(change: Change, delay: float) -> str:
    when = f"began {span(delay)} after" if delay >= 1.0 else "began when"
    if change.kind == Kind.LOAD_TEST:
        return f"{when} {change.title}"
    if change.title.startswith("went "):
        return f"{when} {change.service} {change.title}"
    return f"{when} a change of {change.service}: {change.title}"
