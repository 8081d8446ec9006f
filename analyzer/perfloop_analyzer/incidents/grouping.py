"""Grouping findings into incidents and ranking their causes.

Findings join when their components can hurt each other and their onsets lie within a time of each other. In one
incident the suspects are its (service, component) pairs. A suspect's score is its robust deviation, halved for each
ten minutes it began after the first, and cut to a third when another suspect that it depends on explains it: the root
is the deviating node with no deviating callee (Hardt et al., "The PetShop dataset", CLeaR 2024). A pair seen from
both sides, as a resource (use) and as its callers feel it (red), gets its smaller side added (PRISM's conjunction).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from perfloop_analyzer.catalog.units import quantity
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents.topology import MACHINE, Topology

JOIN_SECONDS = 600.0
MACHINE_SECONDS = 60.0
EXPLAINED = 1.0 / 3.0
COMPARABLE = 0.6
MOVED = 1.0
TIME = "seconds"

Pair = tuple[str, str]
Pairs = dict[Pair, list[Finding]]
Deviation = Callable[[Finding], float]


@dataclass(frozen=True, slots=True)
class Cause:
    """One suspect with its share of the blame (shares of an incident add to 1) and what speaks for it."""

    service: str
    component: str
    score: float
    deviation: float
    onset: float
    evidence: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "service": self.service,
            "component": self.component,
            "score": self.score,
            "deviation": self.deviation,
            "onset": self.onset,
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True, slots=True)
class Incident:
    """Findings that belong together, causes ranked, first one first."""

    id: str
    started: float
    severity: Severity
    services: tuple[str, ...]
    findings: tuple[Finding, ...]
    causes: tuple[Cause, ...]

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
    """Join findings into incidents; worst first."""
    groups = _components(findings, topology)
    incidents = [_build(group, topology, deviation) for group in groups]
    return tuple(sorted(incidents, key=lambda one: (-one.severity, one.started)))


def _components(findings: Sequence[Finding], topology: Topology) -> list[list[Finding]]:
    """Union-find over the pairs that belong together."""
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
    return near and (one.service == other.service or _hurts(one, other, topology) or _hurts(other, one, topology))


def _hurts(cause: Finding, victim: Finding, topology: Topology) -> bool:
    """A busy machine makes things slow, and soon; it does not empty caches, answer 500, or strike after minutes."""
    if cause.component in MACHINE and victim.component != cause.component:
        soon = abs(cause.onset - victim.onset) <= MACHINE_SECONDS
        if victim.unit != TIME or not soon:
            return False
    return topology.depends((victim.service, victim.component), (cause.service, cause.component))


def _build(findings: list[Finding], topology: Topology, deviation: Deviation) -> Incident:
    started = min(finding.onset for finding in findings)
    causes = rank_causes(findings, topology, deviation)
    services = tuple(sorted({finding.service for finding in findings}))
    first = causes[0]
    digest = hashlib.sha256(f"{first.service}/{first.component}".encode()).hexdigest()[:8]
    return Incident(
        f"{first.service}-{first.component}-{digest}",
        started,
        max(finding.severity for finding in findings),
        services,
        tuple(sorted(findings, key=lambda finding: finding.onset)),
        causes,
    )


def rank_causes(findings: Iterable[Finding], topology: Topology, deviation: Deviation) -> tuple[Cause, ...]:
    """Rank the (service, component) pairs of one incident."""
    pairs: Pairs = {}
    for finding in findings:
        pairs.setdefault((finding.service, finding.component), []).append(finding)
    started = min(finding.onset for group in pairs.values() for finding in group)
    raw = {pair: _suspicion(group, started, deviation) for pair, group in pairs.items()}
    scores = {pair: raw[pair] * (EXPLAINED if _explained(pair, pairs, raw, topology) else 1.0) for pair in pairs}
    total = sum(scores.values()) or 1.0
    causes = [
        Cause(
            service,
            component,
            round(scores[service, component] / total, 6),
            round(raw[service, component], 6),
            min(finding.onset for finding in pairs[service, component]),
            tuple(_sentence(finding) for finding in pairs[service, component]),
        )
        for service, component in pairs
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.score, cause.onset, cause.component)))


def _suspicion(group: list[Finding], started: float, deviation: Deviation) -> float:
    sides = {"use": 0.0, "red": 0.0}
    for finding in group:
        sides[finding.kind] = max(sides[finding.kind], deviation(finding))
    both = max(sides.values()) + min(sides.values())
    late = min(finding.onset for finding in group) - started
    severity = 0.05 * (1 + max(finding.severity for finding in group))
    return float((both + severity) * 0.5 ** (late / JOIN_SECONDS))


def _explained(pair: Pair, pairs: Pairs, raw: dict[Pair, float], topology: Topology) -> bool:
    """Whether something that a suspect depends on deviates as much or is full, and can show in what is seen of it."""
    return any(
        other != pair
        and (raw[other] >= COMPARABLE * raw[pair] or (raw[other] >= MOVED and _is_full(pairs[other])))
        and topology.depends(pair, other)
        and (other[1] not in MACHINE or _slowed_by(pairs[other], pairs[pair]))
        for other in pairs
    )


def _is_full(group: list[Finding]) -> bool:
    """Whether a resource is critically full: its use ends at one, so it deviates less than those who wait for it."""
    return any(finding.kind == "use" and finding.severity is Severity.CRITICAL for finding in group)


def _slowed_by(machine: list[Finding], suspect: list[Finding]) -> bool:
    """Whether a suspect became slow when its machine became busy."""
    began = min(finding.onset for finding in machine)
    return any(finding.unit == TIME and abs(finding.onset - began) <= MACHINE_SECONDS for finding in suspect)


def _sentence(finding: Finding) -> str:
    now, usual = (quantity(value, finding.unit) for value in (finding.value, finding.expected))
    against = "beyond its limit of" if finding.never_better else "expected"
    return f"{finding.title}{finding.place} is {now}, {against} {usual}"
