"""The cycle: detect, group, rank, recommend, score."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.incidents import (
    Movement,
    Topology,
    carry_findings,
    carry_incidents,
    group_incidents,
    remember,
    remembered_movement,
)
from perfloop_analyzer.pipeline.coverage import Coverage
from perfloop_analyzer.pipeline.detect import Detection, Settings, detect_all
from perfloop_analyzer.pipeline.health import score_health
from perfloop_analyzer.pipeline.inputs import Inputs
from perfloop_analyzer.ports import Query, Responses, Result
from perfloop_analyzer.recommend import Context, Rule, find_parts, no_parts, recommend
from perfloop_base.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend.parts import PartsOf
    from perfloop_analyzer.series import Batch
    from perfloop_base.prices import Prices


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The configuration of an analysis, and in `settings` what earlier cycles learned."""

    catalog: Sequence[Signal]
    rules: Sequence[Rule]
    topology: Topology = field(default_factory=Topology)
    settings: Settings = field(default_factory=Settings)
    scaling: Scaling = field(default_factory=Scaling)
    prices: Prices | None = None

    def by_name(self) -> Mapping[str, Signal]:
        """Return the catalogue by name."""
        return {signal.name: signal for signal in self.catalog}


def analyze(answers: Responses, knowledge: Knowledge, at: float) -> Result:
    """Return the result of one cycle; `at` is its moment in Unix seconds. Signals without a response are skipped."""
    table = knowledge.by_name()
    detection: Detection = detect_all(answers.batches, table, knowledge.settings)
    measured = Inputs(answers.batches, table, knowledge.settings.history)
    coverage = Coverage(answers.batches, table)
    services = coverage.services()
    memory = knowledge.settings.memory
    findings = carry_findings(detection.findings, memory, at)

    def deviation(finding: Finding) -> float:
        now = measured.deviation(finding)
        return memory.deviation(finding) if now is None else now

    def movement(symptom: Finding, service: str) -> Movement | None:
        return measured.movement(symptom, service) or remembered_movement(findings, symptom, service, memory)

    topology = knowledge.topology.learn(answers.batches.values())
    grouped = group_incidents(findings, topology, deviation, movement, knowledge.settings.changes)
    incidents = carry_incidents(grouped, memory)
    health = score_health(findings, services)
    return Result(
        at=at,
        health=health,
        unseen=coverage.unseen(),
        findings=findings,
        incidents=incidents,
        recommendations=recommend(incidents, knowledge.rules, _context(measured, knowledge, at)),
        readings=tuple(detection.readings),
        failures=answers.failures,
        # Without health nothing was seen: that a finding was not among it ends nothing.
        memory=remember(memory, incidents, at, measured.deviation) if health else memory,
        series=sum(len(batch) for batch in answers.batches.values()),
        points=sum(batch.values.size for batch in answers.batches.values()),
    )


def _context(measured: Inputs, knowledge: Knowledge, at: float, parts: PartsOf = no_parts) -> Context:
    titles = {signal.name: signal.label for signal in knowledge.catalog}
    return Context(measured, at, titles, parts, knowledge.settings.records)


def part_queries(result: Result, knowledge: Knowledge) -> list[Query]:
    """Return the queries that say which part of a service stands out, for the signals that a rule answers."""
    table, window = knowledge.by_name(), knowledge.settings.window
    names = sorted({one.signal for one in result.recommendations})
    return [Query(name, parts.query(window)) for name in names if name in table and (parts := table[name].parts)]


def name_parts(result: Result, answers: Responses, parts: Mapping[str, Batch], knowledge: Knowledge) -> Result:
    """Return the result with recommendations that name the worst part; `parts` answer `part_queries`."""
    table = knowledge.by_name()
    measured = Inputs(answers.batches, table, knowledge.settings.history)
    context = _context(measured, knowledge, result.at, find_parts(parts, table))
    return replace(result, recommendations=recommend(result.incidents, knowledge.rules, context))
