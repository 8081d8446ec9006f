"""What explains each signal that is out of its limits: the cause of its incident, and what to do about it.

An alert is about one signal of one service. Its message must not name the cause of another incident, nor a
recommendation that would not change the signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_analyzer.findings import component_name
from perfloop_analyzer.recommend.recommendation import by_urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.incidents import Cause, Incident
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation

# Somebody has taken up an accepted one; it is still to be done.
TO_DO = ("open", "accepted")


class Explanation(NamedTuple):
    """The cause of one signal in words with its share, and the recommendation to follow, if there is one."""

    service: str
    signal: str
    cause: str
    score: float
    recommendation: Recommendation | None


def explain_signals(result: Result) -> list[Explanation]:
    """Return one explanation for each service and signal with a finding; its worst incident counts."""
    found: dict[tuple[str, str], Explanation] = {}
    for incident in result.incidents:
        for service, signal in _signals(incident):
            if incident.causes and (service, signal) not in found:
                cause = incident.causes[0]
                advice = _advise(result, incident, signal)
                found[service, signal] = Explanation(service, signal, _name(cause, service), cause.score, advice)
    return list(found.values())


def _signals(incident: Incident) -> Iterator[tuple[str, str]]:
    for finding in incident.findings:
        # A signal that is judged for one route alone is called `signal@route`: alerts know it by its own name.
        yield finding.service, finding.signal.partition("@")[0]


def _name(cause: Cause, service: str) -> str:
    name = component_name(cause.component)
    return name if cause.service == service else f"{name} of {cause.service}"


def _advise(result: Result, incident: Incident, signal: str) -> Recommendation | None:
    """Return the first recommendation about one of the incident's causes that affects the signal, by rank of cause."""
    ranks = {(cause.service, cause.component): rank for rank, cause in enumerate(incident.causes)}
    fitting = [
        (ranks[one.service, one.component], one)
        for one in by_urgency(result.recommendations)
        if one.state in TO_DO and signal in one.affects and (one.service, one.component) in ranks
    ]
    # The first of one rank is the most urgent: the order is that of every list of recommendations.
    return min(fitting, key=lambda ranked: ranked[0])[1] if fitting else None
