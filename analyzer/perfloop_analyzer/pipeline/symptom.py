"""The causes of a symptom that a person or an alert names, whether or not a detector reports it.

The symptom is one signal of one service: an alert's, or what users report. Its start is estimated from its own
series. Where the calls between services are known, the walk goes from it over the callees that moved in the same
measure; services that the walk does not reach come after those that it reaches. Without calls, every service that moved
in the symptom's measure is ranked by how far it deviates from its own past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_analyzer.incidents import rank_causes
from perfloop_analyzer.incidents.causes import JOIN_SECONDS
from perfloop_analyzer.incidents.walk import EXPLAINED, Step, walk_calls
from perfloop_analyzer.pipeline.measured import Measurements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.incidents import Cause, Topology
    from perfloop_analyzer.series import Batch


class Symptom(NamedTuple):
    """What is wrong: a service, and the name of a signal of the catalogue."""

    service: str
    signal: str


def explain_symptom(
    symptom: Symptom,
    batches: Mapping[str, Batch],
    catalog: Sequence[Signal],
    topology: Topology,
    findings: Sequence[Finding] = (),
) -> tuple[Cause, ...]:
    """Return the causes of a symptom, the most probable first; none where the service has no value of the signal.

    Args:
        symptom: What is wrong.
        batches: The series of a cycle, by signal.
        catalog: The signals.
        topology: The calls that a file gives; those that the batches contain are learned.
        findings: What the detectors reported in the cycle.
    """
    measured = Measurements(batches, {signal.name: signal for signal in catalog})
    reported = [one for one in findings if (one.service, one.signal) == symptom]
    first = max(reported, key=lambda one: one.severity, default=None) or measured.symptom(*symptom)
    if first is None:
        return ()
    topology = topology.learn(batches.values())
    near = [one for one in findings if one is not first and abs(one.onset - first.onset) <= JOIN_SECONDS]
    steps = _steps(first, topology.calls, measured)
    return rank_causes([first, *near], topology, lambda one: measured.deviation(one) or 0.0, steps)


def _steps(symptom: Finding, calls: Mapping[str, frozenset[str]], measured: Measurements) -> dict[str, Step]:
    """Return the walk from the symptom, and after it every other service that moved in the symptom's measure."""
    found = {service: measured.movement(symptom, service) for service in measured.services(symptom)}
    walk = walk_calls(symptom.service, calls, found.get)
    off = EXPLAINED if len(walk) > 1 else 1.0
    others = {one: Step(move, off) for one, move in found.items() if move and move.moved}
    return {**others, **walk}
