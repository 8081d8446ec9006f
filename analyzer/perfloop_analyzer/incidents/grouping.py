"""Grouping findings into incidents.

Two findings belong to one incident when they are of the same service and component, or when they began within
JOIN_SECONDS of each other and are of the same service or of components of which one can affect the other (`topology`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.identifiers import slug
from perfloop_analyzer.incidents.causes import (
    JOIN_SECONDS,
    MACHINE_SECONDS,
    TIME,
    Cause,
    Deviation,
    Movements,
    rank_causes,
    walk_from_symptom,
)
from perfloop_analyzer.incidents.topology import MACHINE, Topology

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class Incident:
    """Findings that belong together, and their causes, the most probable first."""

    id: str
    started: float
    severity: Severity
    services: tuple[str, ...]
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...]

    @property
    def suspicion(self) -> float:
        """That of its most suspicious service: incidents compete by it."""
        return max(self.suspicions().values())

    def suspicions(self) -> dict[str, float]:
        """Return how suspicious each service is.

        What its resources show and what its callers experience are added where they began together (`causes`), as far
        as nothing outside explains them: that its own CPU explains its latency makes a service no less suspicious.
        """
        own: dict[str, list[Cause]] = {}
        for cause in self.causes:
            own.setdefault(cause.service, []).append(cause)
        return {service: _both_sides(causes) for service, causes in own.items()}

    @property
    def is_outage(self) -> bool:
        """Whether a service does not answer."""
        return any(finding.is_down for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "id": self.id,
            "started": self.started,
            "severity": self.severity.word,
            "services": list(self.services),
            "causes": [cause.as_dict() for cause in self.causes],
            "findings": [finding.as_dict() for finding in self.findings],
        }


def _both_sides(causes: Sequence[Cause]) -> float:
    """Return the suspicion of a service's worst cause, and of the worst one of the other side that began with it.

    Deviations are added, not their logarithms (PRISM): a little of the other side adds little.
    """
    first = max(causes, key=lambda one: one.suspicion)
    others = [
        one.suspicion
        for one in causes
        if (one.component in MACHINE) != (first.component in MACHINE)
        and abs(one.onset - first.onset) <= MACHINE_SECONDS
    ]
    return math.log1p(math.expm1(first.suspicion) + math.expm1(max(others, default=0.0)))


def group_incidents(
    findings: Sequence[Finding],
    topology: Topology,
    deviation: Deviation,
    movements: Movements | None = None,
    changes: Sequence[Change] = (),
) -> tuple[Incident, ...]:
    """Return the incidents, outages first, then those whose first cause is the most suspicious.

    Args:
        findings: What the detectors reported.
        topology: What can affect what.
        deviation: How far a finding's series deviates from its own past, for the ranking of causes.
        movements: How far any service moved in a finding's measure, for the walk along the calls.
        changes: What was changed, by whatever means.
    """
    groups = _components(findings, topology)
    incidents = [_build(group, topology, deviation, movements, changes) for group in groups]
    return tuple(sorted(incidents, key=lambda one: (not one.is_outage, -one.suspicion, -one.severity, one.started)))


def rank_services(incidents: Iterable[Incident]) -> tuple[tuple[str, float], ...]:
    """Return every suspected service with its suspicion, the most suspicious first, over all incidents.

    Where nothing is known of the calls between services, each is an incident of its own; this is their one order.
    """
    most: dict[str, float] = {}
    for incident in incidents:
        for service, suspicion in incident.suspicions().items():
            most[service] = max(most.get(service, 0.0), suspicion)
    return tuple(sorted(most.items(), key=lambda one: -one[1]))


def _components(findings: Sequence[Finding], topology: Topology) -> list[list[Finding]]:
    """Return the groups of findings that are connected by pairs that belong together (union-find)."""
    parent = list(range(len(findings)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in combinations(range(len(findings)), 2):
        if _belong(findings[one], findings[other], topology):
            parent[root(one)] = root(other)
    groups: dict[int, list[Finding]] = {}
    for index, finding in enumerate(findings):
        groups.setdefault(root(index), []).append(finding)
    return list(groups.values())


def _belong(one: Finding, other: Finding, topology: Topology) -> bool:
    if (one.service, one.component) == (other.service, other.component):
        return True
    near = abs(one.onset - other.onset) <= JOIN_SECONDS
    return near and (
        one.service == other.service or _can_cause(one, other, topology) or _can_cause(other, one, topology)
    )


def _can_cause(cause: Finding, effect: Finding, topology: Topology) -> bool:
    """Return whether one finding can be the cause of another.

    A busy machine makes services slow, and soon: not minutes later, and it causes neither errors nor cache misses.
    """
    if cause.component in MACHINE and effect.component != cause.component:
        soon = abs(cause.onset - effect.onset) <= MACHINE_SECONDS
        if effect.unit != TIME or not soon:
            return False
    return topology.depends((effect.service, effect.component), (cause.service, cause.component))


def name_incident(cause: Cause, *more: str) -> str:
    """Return an id with the first cause's service and component in it; `more` distinguishes those of one cause."""
    name = "/".join((cause.service, cause.component, *more)).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(name).hexdigest()[:8]
    return f"{slug(cause.service)}-{slug(cause.component)}-{digest}"


def _build(
    findings: list[Finding],
    topology: Topology,
    deviation: Deviation,
    movements: Movements | None,
    changes: Sequence[Change],
) -> Incident:
    started = min(finding.onset for finding in findings)
    steps = walk_from_symptom(findings, topology, deviation, movements) if movements else None
    causes = rank_causes(findings, topology, deviation, steps, changes)
    services = tuple(sorted({finding.service for finding in findings}))
    first = causes[0]
    return Incident(
        name_incident(first),
        started,
        max(finding.severity for finding in findings),
        services,
        tuple(sorted(findings, key=lambda finding: finding.onset)),
        causes,
    )
