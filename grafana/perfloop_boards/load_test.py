"""The load-test board: what was offered, what came back, and where the service stops keeping up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.events import marks
from perfloop_boards.limits import FIRST_WARNS, STUTTER, Limit, percent, seconds
from perfloop_boards.panels import About, figure, lines, number, stacked
from perfloop_boards.queries import (
    WINDOW,
    Query,
    equal,
    known,
    percentiles,
    quantile,
    ratio,
    selector,
)
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import VERDICT

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

SERVER = 'service=~"$service"'
NO_RUN = "No load test ran in this time range: start one with `perfloop loadgen run FILE`."
NO_STREAM = "No streamed responses were requested in this run."
# Beyond these the load generator says itself that a test is invalid (its `generator_limits`).
LATE = Limit(warning=0.01, critical=0.05)
BUSY = Limit(warning=0.8, critical=0.9)

TEST = 'test=~"$test"'
RUN = selector(TEST, 'run_id=~"$run"')


def of_run(expr: str) -> str:
    """The expression, of the chosen runs alone."""
    # A run's id is on its info metric alone: ids on every series would multiply them with each run.
    return f"({expr}) and on (instance, test) loadgen_run_info{RUN}"


def run_rate(metric: str, *matchers: str, by: str = "") -> str:
    """A counter's rise per second, added up over the chosen runs."""
    summed = of_run(f"rate({metric}{selector(TEST, *matchers)}[{WINDOW}])")
    return f"sum{f' by ({by})' if by else ''} ({summed})"


def run_quantile(q: float, histogram: str, by: str = "") -> str:
    """A quantile over the chosen runs at once."""
    return f"histogram_quantile({q:g}, {run_rate(histogram + '_bucket', by=f'le, {by}' if by else 'le')})"


DONE = run_rate("loadgen_requests_total")
# What timed out came to an end, but is no answer: good answers alone keep up with what is offered.
GOOD = run_rate("loadgen_requests_total", equal("outcome", "ok"))
ANSWERED = f"({GOOD} or {DONE} * 0)"
FAILED = run_rate("loadgen_requests_total", 'outcome!="ok"')
CLIENT_P95 = run_quantile(0.95, "loadgen_response_seconds")
USERS = f"sum({of_run(f'loadgen_users{selector(TEST)}')})"
SET_RATE = of_run(f"loadgen_target_rate{selector(TEST)}")
BY_TEST = of_run(f"sum by (instance, test) (rate(loadgen_requests_total{selector(TEST)}[{WINDOW}]))")
# A test that sets users offers what the answers let it; beside one that sets a rate both add up.
OFFERED = f"sum(({SET_RATE}) or ({BY_TEST}) unless on (instance, test) loadgen_target_rate)"


def run_verdict(word: str) -> str:
    """1 where a run has just ended with this verdict."""
    # A run that has ended is scraped once or twice more: over the window, so that no step passes over it.
    return f"max(max_over_time(loadgen_verdict{selector(RUN[1:-1], equal('verdict', word))}[{WINDOW}]))"


def _verdict_now() -> AnyPanel:
    return number(
        About(
            "Verdict",
            "Of the last run that ended. Passed: every gate held. Failed: the service broke a gate. Invalid: the "
            "generator was the limit.",
            "none",
            "no run ended",
        ),
        Query(f"{run_verdict('passed')} * 2 or {run_verdict('failed')} or {run_verdict('invalid')} * 0"),
        words=VERDICT,
    )


def _completed_now() -> AnyPanel:
    return figure(
        About(
            "Completed rate",
            "Successful responses per second. Far below the offered rate: the service is past its knee.",
            "reqps",
            "no run",
        ),
        Query(ANSWERED),
        colours.TRAFFIC,
    )


def _failed_now(limits: Limits) -> AnyPanel:
    failures = limits.signal("error_ratio")
    return number(
        About(
            "Failed requests",
            f"Share of requests without a successful response. Good: under {percent(limits.goal('error_ratio'))}. "
            f"Above {percent(failures.first)}, the results describe a broken service, not a slow one.",
            "percentunit",
            "no run",
        ),
        Query(ratio(FAILED, DONE)),
        failures,
    )


def _p95_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return number(
        About(
            "Response p95",
            f"As the client measured it, from the intended start. Good: under {fast}.",
            "s",
            "no run",
        ),
        Query(CLIENT_P95),
        response,
    )


def _knee(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return figure(
        About(
            "Knee",
            "The highest rate of successful responses in this time range whose p95 was under "
            f"{seconds(response.first)}. Plan for two thirds of it.",
            "reqps",
            "no run",
        ),
        # Queried once, for now: at every step of a day it would be queried for the whole day before it. A rate covers
        # 20 s at least, so that steps of 15 s miss none.
        Query(
            f"max_over_time(({GOOD} and on () (({CLIENT_P95}) < {response.first:g}))[$__range:15s])",
            instant=True,
        ),
        colours.TRAFFIC,
    )


def _dropped_now() -> AnyPanel:
    return number(
        About(
            "Dropped",
            "Scheduled requests that the generator could not send. Good: 0. Otherwise the test is invalid: add "
            "workers.",
            "none",
            "no run",
            decimals=0,
        ),
        Query(f"sum({of_run(f'loadgen_dropped_total{selector(TEST)}')})"),
        FIRST_WARNS,
    )


def _offered_achieved() -> AnyPanel:
    return lines(
        About(
            "Offered vs. completed rate",
            "Good: completed follows offered, and none fails. They part at the knee: more load only makes "
            "clients wait. A test that sets users offers as much as the responses allow.",
            "reqps",
            NO_RUN,
        ),
        [
            Query(OFFERED, "offered", colours.OFFERED),
            Query(ANSWERED, "completed", colours.TRAFFIC),
            Query(f"({FAILED}) or ({DONE}) * 0", "failed requests", colours.ERRORS),
        ],
    )


def _both_sides(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "p95: client vs. server",
            "Good: close together. A gap is time in queues: too few workers or connections in front of the service.",
            "s",
            NO_RUN,
        ),
        [
            Query(CLIENT_P95, "client, from the intended start", colours.CLIENT),
            Query(run_quantile(0.95, "loadgen_service_seconds"), "client, from the actual start", colours.FAST),
            Query(quantile(0.95, "http_server_request_duration_seconds", SERVER), "server", colours.SLOW),
        ],
        response,
    )


def _load() -> AnyPanel:
    return lines(
        About(
            "Active users",
            "Users of the generator. Good: the profile of the test: ramp, hold, spike.",
            "none",
            NO_RUN,
        ),
        [Query(USERS, "users", colours.OFFERED)],
    )


def _by_endpoint(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "Response time p95 by endpoint",
            "As the client measured it. Good: under the dashed line. The first endpoint to rise is the limit.",
            "s",
            NO_RUN,
        ),
        [Query(run_quantile(0.95, "loadgen_response_seconds", by="endpoint"), "{{endpoint}}")],
        response,
    )


def _outcomes() -> AnyPanel:
    return stacked(
        About(
            "Requests by outcome",
            "Requests per second. Good: ok alone. Timeouts: the service is too slow. Connect errors: it accepts "
            "no more connections.",
            "reqps",
            NO_RUN,
        ),
        [
            Query(run_rate("loadgen_requests_total", 'outcome="ok"'), "ok", colours.TRAFFIC),
            Query(run_rate("loadgen_requests_total", 'outcome!="ok"', by="outcome"), "{{outcome}}", colours.ERRORS),
        ],
        known=colours.BAD_ENDS,
    )


def _generator_delays() -> AnyPanel:
    return lines(
        About(
            "Generator delays (p99)",
            "How late requests started, and the delays of the generator's event loop. Good: under "
            f"{seconds(LATE.first)}. Event loop delays above {seconds(LATE.last)} make the test invalid: the "
            "results contain the generator's own delays.",
            "s",
            NO_RUN,
        ),
        [
            Query(run_quantile(0.99, "loadgen_schedule_lag_seconds"), "schedule lag", colours.SLOW),
            Query(
                f"max({of_run(f'loadgen_event_loop_lag_seconds{selector(TEST)}')})", "event loop delay", colours.OTHER
            ),
        ],
        LATE,
    )


def _generator_cpu() -> AnyPanel:
    return lines(
        About(
            "Generator CPU",
            f"Share of one core used by its busiest process. Good: under {percent(BUSY.first)}. Above "
            f"{percent(BUSY.last)}, the test is invalid: more workers, or less load.",
            "percentunit",
            NO_RUN,
        ),
        [
            Query(
                f"max by (instance) ({of_run(f'loadgen_cpu_used_ratio{selector(TEST)}')})", "{{instance}}", colours.CPU
            )
        ],
        BUSY,
    )


def _endpoints(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    failures = limits.signal("error_ratio")
    return rows(
        About("Endpoints", "Sorted by p95. Good: no red. The first row reaches its limit first.", "none", NO_RUN),
        [
            Query(f"{run_rate('loadgen_requests_total', by='endpoint')} > 0", instant=True),
            Query(
                known(
                    ratio(
                        run_rate("loadgen_requests_total", 'outcome!="ok"', by="endpoint"),
                        run_rate("loadgen_requests_total", by="endpoint"),
                    )
                ),
                instant=True,
            ),
            *(
                Query(known(run_quantile(q, "loadgen_response_seconds", by="endpoint")), instant=True)
                for q in (0.5, 0.95, 0.99)
            ),
        ],
        [
            Column("endpoint", "Endpoint"),
            Column("Value #A", "Requests/s", unit="reqps", width=100),
            Column("Value #B", "Failed", unit="percentunit", limit=failures, width=72),
            Column("Value #C", "p50", unit="s", width=76),
            Column("Value #D", "p95", unit="s", limit=response, width=76),
            Column("Value #E", "p99", unit="s", width=76),
        ],
        sort="p95",
    )


def _first_token(limits: Limits) -> AnyPanel:
    token_in_time = limits.slo("first_token")
    return lines(
        About(
            "Time to first token",
            f"As the client measured it. Good: p95 under {seconds(token_in_time.first)}.",
            "s",
            NO_STREAM,
        ),
        percentiles(lambda q: run_quantile(q, "loadgen_time_to_first_token_seconds"), 95, 50),
        token_in_time,
    )


def _gaps(limits: Limits) -> AnyPanel:
    flows = seconds(limits.slo("inter_token").first)
    return lines(
        About(
            "Inter-chunk gap (streaming)",
            f"As the client measured it. Good: p95 under {flows}. Above {seconds(STUTTER.first)}, the text "
            "visibly stutters.",
            "s",
            NO_STREAM,
        ),
        percentiles(lambda q: run_quantile(q, "loadgen_inter_chunk_seconds"), 95, 50),
        STUTTER,
    )


def _tokens() -> AnyPanel:
    return lines(
        About(
            "Token throughput",
            "Tokens received per second. Level while users rise: the model is the limit.",
            "none",
            NO_STREAM,
        ),
        [Query(run_rate("loadgen_tokens_total"), "tokens", colours.TRAFFIC)],
    )


def build(limits: Limits) -> Board:
    """The load-test board of a configuration."""
    return Board(
        uid="load-test",
        title="Load test",
        question="How much load does the service sustain, where does it stop keeping up, and are the results valid?",
        related=("service", "recommendations"),
        variables=(
            choice("test", "Test", "loadgen_run_info"),
            choice("run", "Run", 'loadgen_run_info{test=~"$test"}', label_name="run_id"),
            choice("service", "Service under test", "service:http_server_requests:rate1m"),
        ),
        annotations=(
            marks(
                "Phases",
                f"loadgen_phase{selector(TEST)} unless loadgen_phase{selector(TEST)} offset $__interval",
                "{{test}}: {{phase}}",
                colours.SLOW,
            ),
        ),
        rows=(
            Row(
                4,
                evenly(
                    _verdict_now(),
                    _completed_now(),
                    _failed_now(limits),
                    _p95_now(limits),
                    _knee(limits),
                    _dropped_now(),
                ),
            ),
            Row(9, evenly(_offered_achieved(), _both_sides(limits))),
            Row(8, evenly(_endpoints(limits), _by_endpoint(limits))),
            Row(7, evenly(_load(), _outcomes(), _generator_delays(), _generator_cpu())),
            Row(7, evenly(_first_token(limits), _gaps(limits), _tokens()), title="Streamed responses"),
        ),
    )
