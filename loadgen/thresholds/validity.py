"""Say when the generator, not the service, was the limit."""

from __future__ import annotations

from loadgen import outcomes
from loadgen.config.gates import GeneratorLimits
from loadgen.samples.tally import Tally
from loadgen.summary.verdict import Generator


def generator_faults(limits: GeneratorLimits, generator: Generator, tally: Tally, *, is_open: bool) -> list[str]:
    """Return a sentence for each limit of the generator that the run ran into."""
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
    planned = tally.requests + tally.dropped
    if is_open and planned and tally.requests / planned < limits.achieved_ratio:
        faults.append(
            f"{tally.requests} of {planned} planned requests were sent "
            f"({tally.requests / planned:.2%}, limit {limits.achieved_ratio:.0%}): max_in_flight was too small"
        )
    limits_met = sorted(outcomes.GENERATOR_LIMITS & tally.outcomes.keys())
    faults += [f"{outcomes.MEANINGS[outcome]} ({tally.outcomes[outcome]} requests)" for outcome in limits_met]
    return faults
