"""From incidents to recommendations: the matching rules, with evidence, other causes and a computed improvement."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.findings import Finding, Severity, component_name
from perfloop_analyzer.identifiers import slug
from perfloop_analyzer.recommend.gains import name_reduced
from perfloop_analyzer.recommend.improvement import Measured, expect
from perfloop_analyzer.recommend.parts import MOST, PartsOf, name_outstanding, no_parts
from perfloop_analyzer.recommend.recommendation import PRIORITIES, Recommendation, by_urgency
from perfloop_analyzer.recommend.track_record import TrackRecord, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.incidents import Cause, Incident
    from perfloop_analyzer.recommend.rules import Rule

ROOT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Context:
    """What the rules may read besides the incidents.

    Attributes:
        at: The moment in Unix seconds.
        titles: What people call each signal.
        parts: Gives the parts of a finding's service, the worst first.
        records: What became of earlier expectations, by rule.
    """

    measured: Measured
    at: float
    titles: Mapping[str, str] = field(default_factory=dict)
    parts: PartsOf = no_parts
    records: Mapping[str, TrackRecord] = field(default_factory=dict)


# The words for a label that the series does not have.
UNNAMED = {
    "cache": "the cache",
    "db_system_name": "SQL",
    "gen_ai_request_model": "the model",
    "gpu": "the card",
    "instance": "the server",
    "model_name": "the model",
    "mountpoint": "the volume",
    "pool": "default",
}


class _Labels(dict[str, str]):
    """The labels of a finding for a title; a missing one reads as the thing itself."""

    def __missing__(self, key: str) -> str:
        return UNNAMED.get(key, "it")


def recommend(incidents: Sequence[Incident], rules: Sequence[Rule], context: Context) -> tuple[Recommendation, ...]:
    """Return the recommendations, most urgent first; one per rule, service and resource."""
    found: dict[str, Recommendation] = {}
    for incident in incidents:
        for rule in rules:
            for finding in _first_per_resource(f for f in incident.findings if rule.matches(f)):
                recommendation = _fill(rule, finding, incident, context)
                found.setdefault(recommendation.id, recommendation)
    return by_urgency(found.values())


def _first_per_resource(findings: Iterable[Finding]) -> list[Finding]:
    best: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        key = (finding.service, *sorted(finding.labels.items()))
        if key not in best or finding.severity > best[key].severity:
            best[key] = finding
    return list(best.values())


def _fill(rule: Rule, finding: Finding, incident: Incident, context: Context) -> Recommendation:
    cause = next(c for c in incident.causes if (c.service, c.component) == (finding.service, finding.component))
    parts = context.parts(finding)
    text = _texts(finding, name_outstanding(parts))
    expected = expect(rule.improvement, finding, context.measured)
    improvement = None if isinstance(expected, str) else weigh(expected, context.records.get(rule.rule))
    return Recommendation(
        id=identify(rule.rule, finding.service, finding.labels),
        rule=rule.rule,
        service=finding.service,
        component=finding.component,
        category=rule.category,
        priority=_priority(finding, cause, incident),
        title=rule.title.format_map(text),
        action=rule.action.format_map(text),
        effort=rule.effort,
        cost=rule.cost,
        affects=rule.affects,
        evidence=tuple(evidence(f) for f in incident.findings if f.component == finding.component),
        rivals=tuple(_other_cause(other, finding.service) for other in incident.causes if other is not cause),
        improvement=improvement and replace(improvement, of=name_reduced(improvement.metric, finding, context.titles)),
        created=context.at,
        updated=context.at,
        values={
            "cause_score": cause.score,
            "incident": incident.id,
            "signal": finding.signal,
            "parts": [part.shown for part in parts[:MOST]],
            **({"unknown_gain": expected} if isinstance(expected, str) else {}),
        },
    )


def _texts(finding: Finding, part: str) -> _Labels:
    """Return what a title may name: labels, the service, the part that stands out, and the signal."""
    return _Labels(
        dict(finding.labels)
        | {
            "service": finding.service,
            "where": f"{part} of {finding.service}" if part else finding.service,
            "part": f" ({part})" if part else "",
            "signal": f"{finding.title}{finding.place}",
        }
    )


def _other_cause(cause: Cause, service: str) -> str:
    """Return a cause with its score, and its service where that is another one."""
    owner = "" if cause.service == service else f" of {cause.service}"
    return f"{component_name(cause.component)}{owner} ({cause.percent})"


def _priority(finding: Finding, cause: Cause, incident: Incident) -> str:
    """Return the priority: the finding's severity, raised for the probable cause and lowered for a mere consequence."""
    level = 1 + int(finding.severity)
    if cause is incident.causes[0] or cause.score >= ROOT_SHARE:
        level = max(level, 2) if finding.severity >= Severity.WARNING else level
    else:
        level -= 1
    return PRIORITIES[max(0, min(level, 3))]


def evidence(finding: Finding) -> dict[str, Any]:
    """Return what a person needs to check a finding."""
    return {
        "detector": finding.detector,
        "signal": finding.signal,
        "labels": dict(finding.labels),
        "title": finding.title,
        "expr": finding.expr,
        "start": finding.window[0],
        "end": finding.window[1],
        "onset": finding.onset,
        "before": finding.expected,
        "after": finding.value,
        "limit": finding.limit,
        "unit": finding.unit,
        "p_value": finding.p_value,
    }


def identify(rule: str, service: str, labels: Mapping[str, str]) -> str:
    """Return the id of a rule's recommendation about one thing of a service."""
    rest = sorted((name, value) for name, value in labels.items() if name != "service")
    digest = hashlib.sha256(repr((rule, service, rest)).encode()).hexdigest()[:6]
    return f"{slug(rule.replace('_', '-'))}-{slug(service)}-{digest}"
