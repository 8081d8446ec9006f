"""Say when the generator, not the service, was the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen import outcomes

if TYPE_CHECKING:
    from perfloop_loadgen.config.gates import GeneratorLimits
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.summary.verdict import Generator


def generator_faults(limits: GeneratorLimits, generator: Generator, tally: Tally) -> list[str]:
    """Return a sentence for each limit of the machine that the generator ran into."""
    faults = []
    if generator.cpu_ratio > limits.cpu_ratio:
        faults.append(
            f"the generator used {generator.cpu_ratio:.0%} of its core (limit {limits.cpu_ratio:.0%}): "
            "its own queueing is in the response times; give it more workers or less load"
        )
    if generator.event_loop_lag_p99_seconds > limits.event_loop_lag_seconds:
        faults.append(
            f"the generator's event loop was late by {generator.event_loop_lag_p99_seconds * 1000:.0f} ms at p99 "
            f"(limit {limits.event_loop_lag_seconds * 1000:.0f} ms): something else kept its core busy"
        )
    limits_met = sorted(outcomes.GENERATOR_LIMITS & tally.outcomes.keys())
    return faults + [f"{outcomes.MEANINGS[outcome]} ({tally.outcomes[outcome]} requests)" for outcome in limits_met]


def schedule_faults(limits: GeneratorLimits, tally: Tally) -> list[str]:
    """Say that too little of an open schedule was sent."""
    planned = tally.requests + tally.dropped
    if not planned or tally.requests / planned >= limits.achieved_ratio:
        return []
    share = f"{tally.requests / planned:.2%}, limit {limits.achieved_ratio:.0%}"
    return [f"{tally.requests} of {planned} planned requests were sent ({share}): max_in_flight was too small"]
