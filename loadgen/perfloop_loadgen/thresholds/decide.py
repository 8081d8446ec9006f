"""Three verdicts from everything that is known about a run; and when the generator, not the service, was the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.quantities import quantity
from perfloop_loadgen import outcomes
from perfloop_loadgen.summary.verdict import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.config.model import GeneratorLimits
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.summary.verdict import Generator

NO_REQUEST = "no request was sent"


def decide(
    tally: Tally, gates: Sequence[GateResult], faults: Sequence[str], failures: Sequence[str] = ()
) -> tuple[Verdict, list[str]]:
    """Return the verdict and its reasons. Invalid outweighs failed: a run that measured itself has no result.

    Args:
        tally: everything that was counted.
        gates: what each gate measured.
        faults: why the numbers say nothing about the service, one sentence each.
        failures: what besides the gates makes the run fail, one sentence each.
    """
    without_data = [f"the gate {gate.text!r} had no data" for gate in gates if gate.passed is None]
    failed = [
        *failures,
        *(f"the gate {gate.text!r} measured {gate.measured}" for gate in gates if gate.passed is False),
    ]
    if tally.requests and tally.errors == tally.requests:
        worst = max(tally.outcomes, key=tally.outcomes.__getitem__)
        failed.append(f"not one of {tally.requests} requests was answered as expected (mostly {worst})")
    if not tally.requests:
        without_data.append(NO_REQUEST)
    if faults or without_data:
        return Verdict.INVALID, [*faults, *without_data, *failed]
    return (Verdict.FAILED if failed else Verdict.PASSED), failed


def generator_faults(limits: GeneratorLimits, generator: Generator, tally: Tally) -> list[str]:
    """Return a sentence for each limit of the machine that the generator ran into."""
    faults = []
    if generator.cpu_ratio > limits.cpu_ratio:
        faults.append(
            f"the generator used {generator.cpu_ratio:.0%} of its core (limit {limits.cpu_ratio:.0%}): "
            "its own queueing is in the response times; give it more workers or less load"
        )
    if generator.event_loop_lag_p99_seconds > limits.event_loop_lag_seconds:
        lag = quantity(generator.event_loop_lag_p99_seconds, "seconds")
        allowed = quantity(limits.event_loop_lag_seconds, "seconds")
        faults.append(
            f"the generator's event loop was late by {lag} at p99 (limit {allowed}): something else kept its core busy"
        )
    reached = sorted(outcomes.GENERATOR_LIMITS & tally.outcomes.keys())
    return faults + [f"{outcomes.MEANINGS[outcome]} ({tally.outcomes[outcome]} requests)" for outcome in reached]


def schedule_faults(limits: GeneratorLimits, tally: Tally) -> list[str]:
    """Return a sentence if too little of an open schedule was sent."""
    planned = tally.requests + tally.dropped
    if not planned or tally.requests / planned >= limits.achieved_ratio:
        return []
    share = f"{tally.requests / planned:.2%}, limit {limits.achieved_ratio:.0%}"
    return [f"{tally.requests} of {planned} planned requests were sent ({share}): max_in_flight was too small"]
