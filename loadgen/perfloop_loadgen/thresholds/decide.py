"""Three verdicts from everything that is known about a run; and when the generator, not the service, was the limit."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from perfloop_base.quantities import quantity
from perfloop_loadgen import outcomes
from perfloop_loadgen.summary.verdict import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.config.model import GeneratorLimits
    from perfloop_loadgen.samples.tally import Tally
    from perfloop_loadgen.summary.verdict import Generator
    from perfloop_loadgen.summary.workers import WorkerFigures

NO_REQUEST = "no request was sent"
# A worker is a straggler whose schedule lag is so many times that of the others: they differ by chance too.
_STRAGGLES = 4


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


def generator_faults(
    limits: GeneratorLimits, generator: Generator, tally: Tally, workers: Sequence[WorkerFigures] = ()
) -> list[str]:
    """Return a sentence for each limit of the machine that the generator ran into.

    Args:
        limits: what the test allows.
        generator: the figures of the only sender, or the worst of several.
        tally: everything that was counted.
        workers: each of several senders: a sentence then names the one that it is about.
    """
    faults: list[str] = []
    senders: list[tuple[str, Generator | WorkerFigures]] = [(worker.title, worker) for worker in workers]
    for who, one in senders or [("the generator", generator)]:
        faults += _limits_reached(limits, who, one)
    faults += _stragglers(limits, workers)
    reached = sorted(outcomes.GENERATOR_LIMITS & tally.outcomes.keys())
    return faults + [f"{outcomes.MEANINGS[outcome]} ({tally.outcomes[outcome]} requests)" for outcome in reached]


def _limits_reached(limits: GeneratorLimits, who: str, figures: Generator | WorkerFigures) -> Iterator[str]:
    if figures.cpu_ratio > limits.cpu_ratio:
        yield (
            f"{who} used {figures.cpu_ratio:.0%} of its core (limit {limits.cpu_ratio:.0%}): "
            "its own queueing is in the response times; give it more workers or less load"
        )
    if figures.event_loop_lag_p99_seconds > limits.event_loop_lag_seconds:
        lag = quantity(figures.event_loop_lag_p99_seconds, "seconds")
        allowed = quantity(limits.event_loop_lag_seconds, "seconds")
        yield f"{who}'s event loop was late by {lag} at p99 (limit {allowed}): something else kept its core busy"
    if figures.network_ratio > limits.network_ratio:
        used, allowed = f"{figures.network_ratio:.0%}", f"{limits.network_ratio:.0%}"
        yield f"{who}'s network card was used to {used} of its speed (limit {allowed}): answers waited for each other"


def _stragglers(limits: GeneratorLimits, workers: Sequence[WorkerFigures]) -> Iterator[str]:
    """Yield which workers were late although the others, with the same load on the same service, were not."""
    for worker in workers:
        others = [one.schedule_lag_p99_seconds for one in workers if one is not worker]
        known = [lag for lag in others if lag is not None]
        lag = worker.schedule_lag_p99_seconds
        if lag is None or not known or lag <= limits.event_loop_lag_seconds:
            continue
        usual = median(known)
        if lag > _STRAGGLES * usual:
            yield (
                f"{worker.title} was {quantity(lag, 'seconds')} behind its schedule at p99, the others "
                f"{quantity(usual, 'seconds')}: it was late for a reason of its own machine"
            )


def schedule_faults(limits: GeneratorLimits, tally: Tally, unknown: int = 0) -> list[str]:
    """Return a sentence if too little of an open schedule was sent.

    Args:
        limits: what the test allows.
        tally: everything that was counted.
        unknown: arrivals of a worker that was lost, of which nobody knows whether they were sent.
    """
    planned = tally.requests + tally.dropped + unknown
    if not planned or tally.requests / planned >= limits.achieved_ratio:
        return []
    share = f"{tally.requests / planned:.2%}, limit {limits.achieved_ratio:.0%}"
    lost = unknown > tally.dropped
    why = "the others were due at a worker that was lost" if lost else "max_in_flight was too small"
    return [f"{tally.requests} of {planned} planned requests were sent ({share}): {why}"]
