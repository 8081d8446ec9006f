"""What explains each signal that is out of its limits: the cause of its incident, and what to do about it.

An alert is about one signal of one service. Its message must not name the cause of another incident, nor a
recommendation that would not change the signal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_analyzer.findings import component_name
from perfloop_analyzer.recommend.recommendation import by_urgency

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.incidents import Cause, Incident
    from perfloop_analyzer.ports import Result
    from perfloop_analyzer.recommend import Recommendation

# Below a third of the suspicion a cause is one of several: to name it would be a guess.
LEAST_SHARE = 1.0 / 3.0
# Somebody has taken up an accepted one; it is still to be done.
TO_DO = ("open", "accepted")


class Explanation(NamedTuple):
    """The cause of one signal in words with its share, and the recommendation to follow, if there is one.

    `cause` is empty where no cause has LEAST_SHARE of the suspicion.
    """

    service: str
    signal: str
    cause: str
    score: float
    recommendation: Recommendation | None


def explain_signals(result: Result) -> list[Explanation]:
    """Return one explanation for each service and signal with a finding; its worst incident counts."""
    found: dict[tuple[str, str], Explanation] = {}
    for incident in result.incidents:
        for finding in incident.findings:
            # A signal that is judged for one route alone is called `signal@route`: alerts know it by its own name.
            key = (finding.service, finding.signal.partition("@")[0])
            if key not in found and incident.causes:
                found[key] = _explain(result, incident, finding, key[1])
    return list(found.values())


def _explain(result: Result, incident: Incident, finding: Finding, signal: str) -> Explanation:
    """Return the incident's first cause, wherever it is, and the advice about the signal.

    Advice is given only about what the signal is measured of or what has advice that changes it: slow queries make
    answers slow; that they make requests fail is nothing that any rule of advice says.
    """
    fitting = [one for one in by_urgency(result.recommendations) if signal in one.affects]
    pairs = {(finding.service, finding.component), *((one.service, one.component) for one in fitting)}
    suspects = [(cause.service, cause.component) for cause in incident.causes]
    ranks = {pair: rank for rank, pair in enumerate(pair for pair in suspects if pair in pairs)}
    advice = [one for one in fitting if one.state in TO_DO and (one.service, one.component) in ranks]
    first, total = incident.causes[0], sum(one.score for one in incident.causes)
    share = first.score / total if total else 0.0
    return Explanation(
        service=finding.service,
        signal=signal,
        cause=_name(first, finding.service) if share >= LEAST_SHARE else "",
        score=share,
        # The first of one rank is the most urgent: the order is that of every list of recommendations.
        recommendation=min(advice, key=lambda one: ranks[one.service, one.component], default=None),
    )


def _name(cause: Cause, service: str) -> str:
    name = component_name(cause.component)
    return name if cause.service == service else f"{name} of {cause.service}"
