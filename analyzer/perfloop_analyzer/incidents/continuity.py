"""Findings and incidents keep their start, and incidents their identity, from cycle to cycle.

A detector sees a window, and says of what lasts longer than that only that it began at the window's start or before.
So each series that is unusual has an episode with the moment when it was first found, its level from before and how far
it deviated from it, and each incident has an id and a start. Both are carried to the next cycle, and are kept in the
database.

An episode ends when the analyzer looked for SAME_SECONDS and did not see it: neither a restart nor a time without
Prometheus ends one. After such a blind time a finding goes on as the same one unless the data show that it began later.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.findings import Finding, Severity, series_of
from perfloop_analyzer.incidents.grouping import Incident, name_incident
from perfloop_analyzer.incidents.walk import Movement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SAME_SECONDS = 120.0
EDGE = 0.01  # of the window: a run that begins so close to its start may have begun before
MOST_MEMBERS = 500
# How bad a finding is, as an episode has it. A milder one goes on as the worse one that it was.
GRADES = ("unusual", "limit", "down")


@dataclass(frozen=True, slots=True)
class Episode:
    """How long one series is unusual, beyond a limit, or without an answer.

    Attributes:
        began: When it was first so, in Unix seconds.
        expected: Its level before, in the signal's unit; None where it is not known.
        deviation: Its robust deviation from that level when it could last be computed.
        seen: The last moment when it was so.
    """

    began: float
    expected: float | None = None
    deviation: float = 0.0
    seen: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident that stands: its members are the keys of its series, and of their services' components."""

    id: str
    started: float
    seen: float
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the cycles before found; `looked` is the moment of the last one that saw any data, in Unix seconds."""

    looked: float | None = None
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    incidents: Mapping[str, Standing] = field(default_factory=dict)

    def stands(self, seen: float) -> bool:
        """Return whether what was last seen at a moment was not looked for since without success."""
        return self.looked is not None and self.looked - seen <= SAME_SECONDS

    def deviation(self, finding: Finding) -> float:
        """Return how far a finding's series deviated when that could last be computed."""
        known = _episode_of(finding, self)
        return known.deviation if known is not None and known.began == finding.onset else 0.0

    def merge(self, other: Memory) -> Memory:
        """Return both together; of what both know the earlier start counts."""
        episodes = {**self.episodes, **other.episodes}
        for key in self.episodes.keys() & other.episodes.keys():
            both = (self.episodes[key], other.episodes[key])
            first, last = min(both, key=lambda one: one.began), max(both, key=lambda one: one.seen)
            episodes[key] = replace(first, seen=last.seen)
        looked = max((one.looked for one in (self, other) if one.looked is not None), default=None)
        return Memory(looked, episodes, {**self.incidents, **other.incidents})


def series_key(finding: Finding) -> str:
    """Return the same key for the same series of a signal, whichever detector finds it."""
    return series_hash(finding.service, finding.signal, series_of(finding.labels))


def series_hash(service: str, signal: str, series: str) -> str:
    """Return the key of a series from the labels that the analyzer publishes of it."""
    text = repr((service, signal, series))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:48]


def episode_key(finding: Finding) -> str:
    """Return the key of the episode of a finding's own grade."""
    return f"{series_key(finding)}/{_grade(finding)}"


def is_cut(finding: Finding) -> bool:
    """Return whether a finding begins where its window does: it may have begun before."""
    start, end = finding.window
    return finding.onset <= start + EDGE * (end - start)


def is_new(finding: Finding, memory: Memory) -> bool:
    """Return whether no cycle before knew a finding's series as bad as it is."""
    known = _episode_of(finding, memory)
    return known is None or not memory.stands(known.seen)


def carry_findings(findings: Iterable[Finding], memory: Memory, at: float) -> tuple[Finding, ...]:
    """Return the findings with the start, and where their own window has none the level before, of their episodes."""
    return tuple(_carried(finding, memory, at) for finding in findings)


def _carried(finding: Finding, memory: Memory, at: float) -> Finding:
    known = _episode_of(finding, memory)
    if known is None or not _goes_on(finding, known, memory, at):
        return finding
    if finding.has_no_baseline and known.expected is not None:
        return replace(finding, onset=known.began, expected=known.expected)
    return replace(finding, onset=known.began)


def _episode_of(finding: Finding, memory: Memory) -> Episode | None:
    """Return the episode of the finding's own grade, else of a worse one."""
    grades = GRADES[GRADES.index(_grade(finding)) :]
    found = (memory.episodes.get(f"{series_key(finding)}/{grade}") for grade in grades)
    return next((one for one in found if one is not None), None)


def _grade(finding: Finding) -> str:
    if finding.is_down:
        return "down"
    return "unusual" if finding.severity is Severity.INFO else "limit"


def _goes_on(finding: Finding, known: Episode, memory: Memory, at: float) -> bool:
    if memory.looked is None or not memory.stands(known.seen) or at < known.began:
        return False
    return at - memory.looked <= SAME_SECONDS or is_cut(finding) or finding.onset <= memory.looked + SAME_SECONDS


def carry_incidents(incidents: Sequence[Incident], memory: Memory) -> tuple[Incident, ...]:
    """Return the incidents, each with the id and the start of the one that it was before; the most alike come first.

    A new one has its start in its id: the next one of the same cause is another incident.
    """
    owners: dict[str, list[Standing]] = {}
    for known in memory.incidents.values():
        if memory.stands(known.seen):
            for member in known.members:
                owners.setdefault(member, []).append(known)
    alike = sorted(
        (-shared, memory.incidents[identifier].started, identifier, place)
        for place, incident in enumerate(incidents)
        for identifier, shared in _shared(incident, owners).items()
    )
    found: dict[int, Standing] = {}
    taken: set[str] = set()
    for _, _, identifier, place in alike:
        if place not in found and identifier not in taken:
            found[place] = memory.incidents[identifier]
            taken.add(identifier)
    return tuple(_continued(one, found.get(place)) for place, one in enumerate(incidents))


def _continued(incident: Incident, known: Standing | None) -> Incident:
    if known is None:
        return replace(incident, id=name_incident(incident.causes[0], f"{incident.started:.0f}"))
    return replace(incident, id=known.id, started=min(known.started, incident.started))


def _shared(incident: Incident, owners: Mapping[str, Sequence[Standing]]) -> Counter[str]:
    """Return how many members an incident shares with each known one, of what began before that one ended."""
    shared: Counter[str] = Counter()
    for finding in incident.findings:
        for key in _keys(finding):
            shared.update(known.id for known in owners.get(key, ()) if finding.onset <= known.seen + SAME_SECONDS)
    return shared


def remembered_movement(findings: Iterable[Finding], symptom: Finding, service: str, memory: Memory) -> Movement | None:
    """Return how far a service moved in a symptom's measure by its findings, when the window has no baseline any more.

    Long after the start every point of the window is of the trouble; episodes know the level from before.
    """
    measure = (symptom.kind, symptom.unit, symptom.direction)
    moves = (
        Movement(
            service=service,
            component=one.component,
            title=one.title,
            unit=one.unit,
            deviation=memory.deviation(one),
            change=abs(one.value - one.expected),
            value=one.value,
            expected=one.expected,
            onset=one.onset,
        )
        for one in findings
        if one.service == service and (one.kind, one.unit, one.direction) == measure and not one.has_no_baseline
    )
    return max(moves, key=lambda one: one.deviation, default=None)


def members_of(incident: Incident) -> frozenset[str]:
    """Return the keys of an incident's series, and of their services' components."""
    return frozenset(key for finding in incident.findings for key in _keys(finding))


def _keys(finding: Finding) -> tuple[str, str]:
    return series_key(finding), f"{finding.service}/{finding.component}"


def remember(
    memory: Memory, incidents: Sequence[Incident], at: float, deviation: Callable[[Finding], float | None]
) -> Memory:
    """Return what the next cycle needs to know; `deviation` is None for a series that has no baseline in the window."""
    episodes = {key: one for key, one in memory.episodes.items() if memory.stands(one.seen)}
    for incident in incidents:
        for finding in incident.findings:
            key, now = episode_key(finding), deviation(finding)
            known = _episode_of(finding, memory)
            if known is None or known.began != finding.onset:
                known = Episode(finding.onset, None if finding.has_no_baseline else finding.expected)
            episodes[key] = replace(known, seen=at, deviation=known.deviation if now is None else now)
    standing = {key: one for key, one in memory.incidents.items() if memory.stands(one.seen)}
    for incident in incidents:
        before = standing[incident.id].members if incident.id in standing else frozenset()
        members = members_of(incident)
        kept = members | before if len(before) < MOST_MEMBERS else members
        standing[incident.id] = Standing(incident.id, incident.started, at, kept)
    return Memory(at, episodes, standing)
