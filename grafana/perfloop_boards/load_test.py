"""The load-test board: what was offered, what came back, and where the service stops keeping up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly, marks
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
NO_RUN = "No load test ran in this time: start one with `perfloop loadgen run FILE`."
NO_STREAM = "No streamed answers were asked for in this run."
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
            "Of the last run that ended. Passed: every gate held. Failed: the service broke one. "
            "Invalid: the generator was the limit.",
            "none",
            "no run ended",
        ),
        Query(f"{run_verdict('passed')} * 2 or {run_verdict('failed')} or {run_verdict('invalid')} * 0"),
        words=VERDICT,
    )


def _done_now() -> AnyPanel:
    return figure(
        About(
            "Answers/s",
            "Good answers. Far under what was offered: the service is past its knee.",
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
            "Failed",
            f"Good: under {percent(limits.goal('error_ratio'))}. Above {percent(failures.first)} "
            "the figures below speak of a broken service, not of a slow one.",
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
            "Response, p95",
            f"As the caller saw it, from the moment it meant to ask. Good: under {fast}.",
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
            f"The highest rate of good answers in this time whose p95 was under {seconds(response.first)}. "
            "Plan for two thirds of it.",
            "reqps",
            "no run",
        ),
        # Asked once, for now: at every step of a day it would be asked anew for the whole day before it. A rate looks back
        # over 20 s at least, so that 15 s pass over none.
        Query(
            f"max_over_time(({GOOD} and on () (({CLIENT_P95}) < {response.first:g}))[$__range:15s])",
            instant=True,
        ),
        colours.TRAFFIC,
    )


def _dropped_now() -> AnyPanel:
    return number(
        About(
            "Never sent",
            "Requests of the schedule that the generator could not send. Good: 0. Else the test is invalid: add workers.",
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
            "Does it keep up with what is offered?",
            "Good: answers lie on what was offered, none fails. Where they part is the knee: "
            "more load only makes callers wait. "
            "A test that sets users offers what the answers let it.",
            "reqps",
            NO_RUN,
        ),
        [
            Query(OFFERED, "offered", colours.OFFERED),
            Query(ANSWERED, "answered", colours.TRAFFIC),
            Query(f"({FAILED}) or ({DONE}) * 0", "failed", colours.ERRORS),
        ],
    )


def _both_sides(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "The same latency from both sides",
            "p95 of the caller and of the service on one axis. Good: close together. A gap is time in queues: "
            "too few workers or connections in front of the service.",
            "s",
            NO_RUN,
        ),
        [
            Query(CLIENT_P95, "caller, from the intended start", colours.CLIENT),
            Query(run_quantile(0.95, "loadgen_service_seconds"), "caller, from the real start", colours.FAST),
            Query(quantile(0.95, "http_server_request_duration_seconds", SERVER), "service", colours.SLOW),
        ],
        response,
    )


def _load() -> AnyPanel:
    return lines(
        About(
            "Who is calling?",
            "Active users of the generator. Good: the shape of the test: ramp, hold, spike.",
            "none",
            NO_RUN,
        ),
        [Query(USERS, "users", colours.OFFERED)],
    )


def _by_endpoint(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "Which endpoint is slow?",
            "p95 as the caller saw it. Good: under the dashed line; the first to rise is the limit.",
            "s",
            NO_RUN,
        ),
        [Query(run_quantile(0.95, "loadgen_response_seconds", by="endpoint"), "{{endpoint}}")],
        response,
    )


def _outcomes() -> AnyPanel:
    return stacked(
        About(
            "How do requests end?",
            "Answers per second by how they ended. Good: ok alone. Timeouts: too slow; connect: full.",
            "reqps",
            NO_RUN,
        ),
        [
            Query(run_rate("loadgen_requests_total", 'outcome="ok"'), "ok", colours.TRAFFIC),
            Query(run_rate("loadgen_requests_total", 'outcome!="ok"', by="outcome"), "{{outcome}}", colours.ERRORS),
        ],
        known=colours.BAD_ENDS,
    )


def _honest() -> AnyPanel:
    return lines(
        About(
            "Was the generator the limit?",
            f"How late requests started, and its own delays, p99. Good: under {seconds(LATE.first)}. Delays above "
            f"{seconds(LATE.last)} make the test invalid: the generator's own waiting is in the figures.",
            "s",
            NO_RUN,
        ),
        [
            Query(run_quantile(0.99, "loadgen_schedule_lag_seconds"), "behind the schedule", colours.SLOW),
            Query(f"max({of_run(f'loadgen_event_loop_lag_seconds{selector(TEST)}')})", "its own delays", colours.OTHER),
        ],
        LATE,
    )


def _generator_cpu() -> AnyPanel:
    return lines(
        About(
            "How busy is the generator?",
            f"Share of one core of its busiest process. Good: under {percent(BUSY.first)}. Above "
            f"{percent(BUSY.last)} the test is invalid: more workers, or less load.",
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
        About("Endpoints", "Sorted by p95. Good: no red. The first line is the first limit.", "none", NO_RUN),
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
            Column("Value #A", "Answers/s", unit="reqps", width=100),
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
            "How long until the first token?",
            f"As the caller saw it. Good: p95 under {seconds(token_in_time.first)}.",
            "s",
            NO_STREAM,
        ),
        percentiles(lambda q: run_quantile(q, "loadgen_time_to_first_token_seconds"), 95, 50),
        token_in_time,
    )


def _pieces(limits: Limits) -> AnyPanel:
    flows = seconds(limits.slo("inter_token").first)
    return lines(
        About(
            "How long between two pieces?",
            f"As the caller saw it. Good: p95 under {flows}; above {seconds(STUTTER.first)} readers see it stutter.",
            "s",
            NO_STREAM,
        ),
        percentiles(lambda q: run_quantile(q, "loadgen_inter_chunk_seconds"), 95, 50),
        STUTTER,
    )


def _tokens() -> AnyPanel:
    return lines(
        About(
            "How many tokens per second?",
            "Tokens that arrived. Level while users rise: the model is the limit.",
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
        question="How much does the service take, where does it stop keeping up, and can the figures be trusted?",
        related=("service", "recommendations"),
        variables=(
            choice("test", "Test", "loadgen_run_info"),
            choice("run", "Run", 'loadgen_run_info{test=~"$test"}', label_name="run_id"),
            choice("service", "Service under test", "service:http_server_requests:rate1m"),
        ),
        annotations=(
            marks(
                "Runs",
                f"loadgen_run_info{RUN} unless loadgen_run_info{RUN} offset 20s",
                "{{test}} {{run_id}} starts",
                colours.TRAFFIC,
            ),
            marks(
                "Phases",
                f"loadgen_phase{selector(TEST)} unless loadgen_phase{selector(TEST)} offset 20s",
                "{{test}}: {{phase}}",
                colours.SLOW,
            ),
        ),
        rows=(
            Row(
                4,
                evenly(
                    _verdict_now(), _done_now(), _failed_now(limits), _p95_now(limits), _knee(limits), _dropped_now()
                ),
            ),
            Row(9, evenly(_offered_achieved(), _both_sides(limits))),
            Row(8, evenly(_endpoints(limits), _by_endpoint(limits))),
            Row(7, evenly(_load(), _outcomes(), _honest(), _generator_cpu())),
            Row(7, evenly(_first_token(limits), _pieces(limits), _tokens()), title="Streamed answers"),
        ),
    )
