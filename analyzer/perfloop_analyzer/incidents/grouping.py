"""Grouping findings into incidents.

Two findings belong to one incident when they are of the same service and component, or when they began within
JOIN_SECONDS of each other and are of the same service or of components of which one can affect the other (`topology`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.identifiers import slug
from perfloop_analyzer.incidents.causes import JOIN_SECONDS, MACHINE_SECONDS, TIME, Cause, Deviation, rank_causes
from perfloop_analyzer.incidents.topology import MACHINE, Topology

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def group_incidents(findings: Sequence[Finding], topology: Topology, deviation: Deviation) -> tuple[Incident, ...]:
    """Return the incidents, the worst first; `deviation` scores a finding for the ranking of causes."""
    groups = _components(findings, topology)
    incidents = [_build(group, topology, deviation) for group in groups]
    return tuple(sorted(incidents, key=lambda one: (-one.severity, not one.is_outage, one.started)))


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


def _build(findings: list[Finding], topology: Topology, deviation: Deviation) -> Incident:
    started = min(finding.onset for finding in findings)
    causes = rank_causes(findings, topology, deviation)
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
