"""The results of a run in tables: all runs, the gates, why the verdict is what it is, checks, endpoints, phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.links import of_cell, to_board
from perfloop_boards.load.runs import (
    DURATION,
    NO_RUN,
    NOT_OK,
    STATE,
    TO_SERVICE,
    by_run,
    last,
    per_run,
    state_of,
    to_report,
    total,
    whole,
)
from perfloop_boards.panels import About
from perfloop_boards.queries import Query, equal, known, ratio
from perfloop_boards.tables import Column, rows

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

PASSED = {"0": ("not passed", colours.BAD), "1": ("passed", colours.GOOD)}


def runs(limits: Limits) -> AnyPanel:
    """Return every run of the time range; a click shows one, or opens its report."""
    failures = limits.signal("error_ratio")
    response = limits.signal("api_response_time_p95")
    p95 = f"max by (run_id) ({last('loadgen_run_response_seconds', equal('quantile', '0.95'))})"
    this_run = to_board("Show this run", "load-test", "test", "service", run=of_cell("Run"))
    return rows(
        About(
            "Runs",
            "Each run of this time range, the newest first, with the figures of its report. A click on its name shows "
            "it on this board, or opens the report.",
            "none",
            NO_RUN,
        ),
        [
            Query(per_run(state_of()), instant=True),
            Query(per_run(by_run("loadgen_run_duration_seconds")), instant=True),
            Query(
                per_run(f"{by_run('loadgen_requests_total')} / {by_run('loadgen_run_duration_seconds')}"), instant=True
            ),
            Query(
                per_run(ratio(by_run("loadgen_requests_total", NOT_OK), by_run("loadgen_requests_total"))), instant=True
            ),
            Query(per_run(p95), instant=True),
        ],
        [
            Column("run", "Run", links=(this_run, to_report(of_cell("Run")))),
            Column("Value #A", "Verdict", unit="none", words=STATE, width=210),
            Column("Value #B", "Duration", unit="s", width=84),
            Column("Value #C", "Completed", unit="reqps", width=100),
            Column("Value #D", "Failed", unit="percentunit", limit=failures, width=76),
            Column("Value #E", "p95", unit="s", limit=response, width=84),
        ],
        sort="Run",
    )


def gates() -> AnyPanel:
    """Return the gates with what they measured."""
    return rows(
        About(
            "Gates",
            "Each threshold of the test and the value that it was compared with, at the end of the run. Good: all "
            "passed. A gate without data has not passed, and makes the run invalid.",
            "none",
            "No gates: the test has no thresholds, or its run has not ended.",
        ),
        # What has not passed comes first.
        [Query(f"sort(max by (threshold, measured) ({whole('loadgen_threshold_passed')}))", instant=True)],
        [
            Column("threshold", "Gate", links=(TO_SERVICE,)),
            Column("measured", "Measured", width=110),
            Column("Value #A", "Result", unit="none", words=PASSED, width=100),
        ],
    )


def reasons() -> AnyPanel:
    """Return why the verdict is what it is."""
    return rows(
        About(
            "Reasons",
            "Why the run failed or is invalid, in the words of its report. Good: empty, or what a search found.",
            "none",
            "No reason given: the run passed, has not ended, or was killed or frozen.",
        ),
        [
            Query(
                per_run(f"max by (run_id, reason) ({whole('loadgen_verdict_reason')})"),
                instant=True,
            )
        ],
        [
            Column("run", "Run", width=230, links=(to_report(of_cell("Run")),)),
            Column("reason", "Reason"),
        ],
    )


def checks() -> AnyPanel:
    """Return the checks on responses."""
    passed, failed = (
        total("loadgen_checks_total", equal("result", word), by="endpoint, check") for word in ("passed", "failed")
    )
    done = total("loadgen_checks_total", by="endpoint, check")
    return rows(
        About(
            "Checks",
            "Each check on responses and how often it passed, over the whole run. Good: none failed.",
            "none",
            "No checks: the test has none.",
        ),
        [
            Query(f"{passed} or {done} * 0", instant=True),
            Query(f"{failed} or {done} * 0", instant=True),
            Query(f"({passed} or {done} * 0) / {done}", instant=True),
        ],
        [
            Column("endpoint", "Endpoint", links=(TO_SERVICE,)),
            Column("check", "Check"),
            Column("Value #A", "Passed", unit="none", width=80),
            Column("Value #B", "Failed", unit="none", width=80),
            Column("Value #C", "Share passed", unit="percentunit", width=100),
        ],
        sort="Failed",
    )


def phases() -> AnyPanel:
    """Return where the time of the run's requests went."""
    times = "loadgen_run_phase_seconds"
    return rows(
        About(
            "Phases of the whole run",
            "As in its report. connect and tls: of each new connection. wait: from the sent request to the first byte. "
            "receive: the rest of responses that came in several pieces.",
            "none",
            "No phases: no run here, or its engine (httpx) does not measure them.",
        ),
        [
            Query(f"max by (phase) ({whole(times, equal('quantile', q))})", instant=True)
            for q in ("0.5", "0.95", "0.99")
        ],
        [
            Column("phase", "Phase", links=(TO_SERVICE,)),
            Column("Value #A", "p50", unit="s", width=76),
            Column("Value #B", "p95", unit="s", width=76),
            Column("Value #C", "p99", unit="s", width=76),
        ],
        sort="p95",
    )


def endpoints(limits: Limits) -> AnyPanel:
    """Return the endpoints with their whole-run figures."""
    response = limits.signal("api_response_time_p95")
    failures = limits.signal("error_ratio")
    requests = total("loadgen_requests_total", by="endpoint")
    times = "loadgen_run_endpoint_response_seconds"
    return rows(
        About(
            "Endpoints",
            "Over the whole run, as in its report, sorted by p95. Good: no red. The first row reaches its limit first.",
            "none",
            NO_RUN,
        ),
        [
            Query(f"{requests} / on () group_left () {DURATION}", instant=True),
            Query(
                known(ratio(total("loadgen_requests_total", NOT_OK, by="endpoint"), requests)),
                instant=True,
            ),
            *(
                Query(f"max by (endpoint) ({whole(times, equal('quantile', q))})", instant=True)
                for q in ("0.5", "0.95", "0.99")
            ),
        ],
        [
            Column("endpoint", "Endpoint", links=(TO_SERVICE,)),
            Column("Value #A", "Requests/s", unit="reqps", width=100),
            Column("Value #B", "Failed", unit="percentunit", limit=failures, width=72),
            Column("Value #C", "p50", unit="s", width=76),
            Column("Value #D", "p95", unit="s", limit=response, width=76),
            Column("Value #E", "p99", unit="s", width=76),
        ],
        sort="p95",
    )
