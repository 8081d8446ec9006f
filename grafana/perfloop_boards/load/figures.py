"""The single figures of a run: what its own report says, while it lasts and when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.limits import FIRST_WARNS, Limit, percent, seconds
from perfloop_boards.links import of_label
from perfloop_boards.load.runs import (
    COMPLETED,
    CUT_OFF,
    DURATION,
    FAILED_RATIO,
    RUN,
    STATE,
    TEST,
    TO_SERVICE,
    per_run,
    state_of,
    to_report,
    total,
    whole,
)
from perfloop_boards.panels import About, figure, number
from perfloop_boards.queries import Query, equal, selector

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

ALL_CHECKS_PASS = Limit(warning=1, below=True)


def verdict() -> AnyPanel:
    """Return the state of the run; it needs no watch, since one that no longer answers is a state of its own."""
    return number(
        About(
            "Verdict",
            "Of the run that is named here: the newest of this time range unless another is chosen. Passed: every "
            "gate held. Failed: the service broke a gate. Invalid: the generator was the limit, or a gate had no data. "
            "No answer: it was killed, frozen or stopped before its result was scraped.",
            "none",
            "no run",
            links=(to_report(of_label("run")),),
        ),
        Query(f"{per_run(state_of())} and on (run_id) {RUN}", "{{run}}"),
        words=STATE,
    )


def completed() -> AnyPanel:
    """Return the rate of the whole run."""
    return figure(
        About(
            "Completed rate",
            "Requests that ended per second, over the whole run, as in its report. Far below the offered rate: the "
            "service is past its knee.",
            "reqps",
            "no run",
            links=(TO_SERVICE,),
        ),
        Query(COMPLETED),
        colours.TRAFFIC,
        watch=CUT_OFF,
    )


def failed(limits: Limits) -> AnyPanel:
    """Return the share of requests that failed."""
    failures = limits.signal("error_ratio")
    return number(
        About(
            "Failed requests",
            "Share of the whole run's requests without a successful response. Good: under "
            f"{percent(limits.goal('error_ratio'))}. Above {percent(failures.first)}, the results describe a broken "
            "service, not a slow one.",
            "percentunit",
            "no run",
            links=(TO_SERVICE,),
        ),
        Query(FAILED_RATIO),
        failures,
        watch=CUT_OFF,
    )


def p95(limits: Limits) -> AnyPanel:
    """Return the response time that has a limit."""
    response = limits.signal("api_response_time_p95")
    return number(
        About(
            "Response p95",
            "Of the whole run, as its report has it, from the intended start. Good: under "
            f"{seconds(limits.goal('api_response_time_p95'))}.",
            "s",
            "no run",
            links=(TO_SERVICE,),
        ),
        Query(f"max({whole('loadgen_run_response_seconds', equal('quantile', '0.95'))})"),
        response,
        watch=CUT_OFF,
    )


def knee(limits: Limits) -> AnyPanel:
    """Return the highest rate that was kept up."""
    response = limits.signal("api_response_time_p95")
    searched = f"max({whole('loadgen_run_knee_rate')})"
    # Rate and latency are of the same 10 s, as the generator counted them: from buckets, a day of them takes seconds.
    quick = f"loadgen_recent_response_seconds{selector(TEST, equal('quantile', '0.95'))} < {response.first:g}"
    kept_up = f"loadgen_recent_good_rate{selector(TEST)} and on (run_id) ({quick})"
    seen = f"max(max_over_time(({kept_up})[$__range:10s]) and on (run_id) {RUN})"
    return figure(
        About(
            "Knee",
            "The highest rate of successful responses that was kept up: what a breakpoint search found, else the "
            f"highest over 10 s of this run with a p95 under {seconds(response.first)}. Plan for two thirds of it.",
            "reqps",
            "none found",
            links=(TO_SERVICE,),
        ),
        Query(f"{searched} or {seen}"),
        colours.TRAFFIC,
        watch=CUT_OFF,
    )


def capacity() -> AnyPanel:
    """Return the highest rate that keeps the thresholds for long."""
    return figure(
        About(
            "Capacity",
            "The highest rate that keeps the thresholds for long, by a breakpoint search. Good: well above the rate "
            "that comes. Its interval is on the Capacity and cost board.",
            "reqps",
            "no search",
            links=(TO_SERVICE,),
        ),
        Query(f"max({whole('loadgen_run_capacity_rate', equal('bound', 'expected'))})"),
        colours.TRAFFIC,
        watch=CUT_OFF,
    )


def dropped() -> AnyPanel:
    """Return what the schedule lost."""
    return number(
        About(
            "Dropped iterations",
            "Scheduled requests of the whole run that the generator could not send. Good: 0. Otherwise the test is "
            "invalid: add workers.",
            "none",
            "no run",
            decimals=0,
            links=(TO_SERVICE,),
        ),
        Query(total("loadgen_dropped_total")),
        FIRST_WARNS,
        watch=CUT_OFF,
    )


def chosen_quantile() -> AnyPanel:
    """Return the response time at the quantile that the board's reader chooses."""
    return figure(
        About(
            "Chosen quantile",
            "Response time of the whole run at the quantile that is chosen above, from the intended start: 0.99 is "
            "what 99 of 100 requests stay below.",
            "s",
            "no run",
            links=(TO_SERVICE,),
        ),
        Query(f"max({whole('loadgen_run_response_seconds', equal('quantile', '$quantile'))})", "$quantile"),
        colours.CLIENT,
        watch=CUT_OFF,
    )


def duration() -> AnyPanel:
    """Return how long the run has lasted."""
    return figure(
        About("Duration", "Of the run, the wait for its last responses included.", "s", "no run", links=(TO_SERVICE,)),
        Query(DURATION),
        colours.OTHER,
        watch=CUT_OFF,
    )


def peak() -> AnyPanel:
    """Return the most requests within a second."""
    return figure(
        About(
            "Peak rate",
            "The most requests that ended within one second of the run. Far above the completed rate: a ramp, a spike, "
            "or stalls in between.",
            "reqps",
            "no run",
            links=(TO_SERVICE,),
        ),
        Query(f"max({whole('loadgen_run_peak_rate')})"),
        colours.TRAFFIC,
        watch=CUT_OFF,
    )


def transfer() -> AnyPanel:
    """Return the bytes per second."""
    return figure(
        About(
            "Transfer rate",
            "Bytes received per second over the whole run, heads included.",
            "Bps",
            "no run",
            links=(TO_SERVICE,),
        ),
        Query(f"{total('loadgen_received_bytes_total')} / {DURATION}"),
        colours.NETWORK,
        watch=CUT_OFF,
    )


def checks() -> AnyPanel:
    """Return the share of checks that passed."""
    done = total("loadgen_checks_total")
    return number(
        About(
            "Checks passed",
            "Share of the checks on responses that passed. Good: 100%. A response that fails one is a failed request.",
            "percentunit",
            "no checks",
            links=(TO_SERVICE,),
        ),
        Query(f"({total('loadgen_checks_total', equal('result', 'passed'))} or {done} * 0) / {done}"),
        ALL_CHECKS_PASS,
        watch=CUT_OFF,
    )


def iterations() -> AnyPanel:
    """Return how many scenarios were run."""
    return figure(
        About(
            "Iterations",
            "Scenarios that were run to their end: one that fails at a step is cut short there.",
            "none",
            "no scenarios",
            decimals=0,
            links=(TO_SERVICE,),
        ),
        Query(total("loadgen_iterations_total")),
        colours.TRAFFIC,
        watch=CUT_OFF,
    )
