"""The load-test board: what was offered, what came back, and where the service stops keeping up."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, marks
from perfloop_boards.limits import FIRST_WARNS, Limit, percent, seconds, signal_goal, signal_limit, slo_limit
from perfloop_boards.panels import About, figure, lines, number, stacked
from perfloop_boards.percentiles import FLOWS, STUTTER, percentiles
from perfloop_boards.queries import Query, known, quantile, ratio, selector
from perfloop_boards.runs import (
    ANSWERED,
    CLIENT_P95,
    DONE,
    FAILED,
    GOOD,
    OFFERED,
    RUN,
    TEST,
    USERS,
    of_run,
    run_quantile,
    run_rate,
    run_verdict,
)
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import VERDICT

SERVER = 'service=~"$service"'
NO_RUN = "No load test ran in this time: start one with `perfloop loadgen run FILE`."
NO_STREAM = "No streamed answers were asked for in this run."
RESPONSE = signal_limit("api_response_time_p95")
FAILURES = signal_limit("error_ratio")
FAST = seconds(signal_goal("api_response_time_p95"))
TOKEN_IN_TIME = slo_limit("first_token")
# Beyond these the load generator says itself that a test is invalid (its `generator_limits`).
LATE = Limit(warning=0.01, critical=0.05)
BUSY = Limit(warning=0.8, critical=0.9)

VERDICT_NOW = number(
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
DONE_NOW = figure(
    About(
        "Answers/s",
        "Good answers. Far under what was offered: the service is past its knee.",
        "reqps",
        "no run",
    ),
    Query(ANSWERED),
    colours.TRAFFIC,
)
FAILED_NOW = number(
    About(
        "Failed",
        f"Good: under {percent(signal_goal('error_ratio'))}. Above {percent(FAILURES.warning)} "
        "the figures below speak of a broken service, not of a slow one.",
        "percentunit",
        "no run",
    ),
    Query(ratio(FAILED, DONE)),
    FAILURES,
)
P95_NOW = number(
    About(
        "Response, p95",
        f"As the caller saw it, from the moment it meant to ask. Good: under {FAST}.",
        "s",
        "no run",
    ),
    Query(CLIENT_P95),
    RESPONSE,
)
KNEE = figure(
    About(
        "Knee",
        f"The highest rate of good answers in this time whose p95 was under {seconds(RESPONSE.warning)}. "
        "Plan for two thirds of it.",
        "reqps",
        "no run",
    ),
    # Asked once, for now: at every step of a day it would be asked anew for the whole day before it. A rate looks back
    # over 20 s at least, so that 15 s pass over none.
    Query(
        f"max_over_time(({GOOD} and on () (({CLIENT_P95}) < {RESPONSE.warning:g}))[$__range:15s])",
        instant=True,
    ),
    colours.TRAFFIC,
)
DROPPED_NOW = number(
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
OFFERED_ACHIEVED = lines(
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
BOTH_SIDES = lines(
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
    RESPONSE,
)
LOAD = lines(
    About(
        "Who is calling?",
        "Active users of the generator. Good: the shape of the test: ramp, hold, spike.",
        "none",
        NO_RUN,
    ),
    [Query(USERS, "users", colours.OFFERED)],
)
BY_ENDPOINT = lines(
    About(
        "Which endpoint is slow?",
        "p95 as the caller saw it. Good: under the dashed line; the first to rise is the limit.",
        "s",
        NO_RUN,
    ),
    [Query(run_quantile(0.95, "loadgen_response_seconds", by="endpoint"), "{{endpoint}}")],
    RESPONSE,
)
OUTCOMES = stacked(
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
HONEST = lines(
    About(
        "Was the generator the limit?",
        f"How late requests started, and its own delays, p99. Good: under {seconds(LATE.warning)}. Delays above "
        f"{seconds(LATE.critical)} make the test invalid: the generator's own waiting is in the figures.",
        "s",
        NO_RUN,
    ),
    [
        Query(run_quantile(0.99, "loadgen_schedule_lag_seconds"), "behind the schedule", colours.SLOW),
        Query(f"max({of_run(f'loadgen_event_loop_lag_seconds{selector(TEST)}')})", "its own delays", colours.OTHER),
    ],
    LATE,
)
GENERATOR_CPU = lines(
    About(
        "How busy is the generator?",
        f"Share of one core of its busiest process. Good: under {percent(BUSY.warning)}. Above "
        f"{percent(BUSY.critical)} the test is invalid: more workers, or less load.",
        "percentunit",
        NO_RUN,
    ),
    [Query(f"max by (instance) ({of_run(f'loadgen_cpu_used_ratio{selector(TEST)}')})", "{{instance}}", colours.CPU)],
    BUSY,
)
ENDPOINTS = rows(
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
        Column("Value #B", "Failed", unit="percentunit", limit=FAILURES, width=72),
        Column("Value #C", "p50", unit="s", width=76),
        Column("Value #D", "p95", unit="s", limit=RESPONSE, width=76),
        Column("Value #E", "p99", unit="s", width=76),
    ],
    sort="p95",
)
FIRST_TOKEN = lines(
    About(
        "How long until the first token?",
        f"As the caller saw it. Good: p95 under {seconds(TOKEN_IN_TIME.warning)}.",
        "s",
        NO_STREAM,
    ),
    percentiles(lambda q: run_quantile(q, "loadgen_time_to_first_token_seconds"), 95, 50),
    TOKEN_IN_TIME,
)
PIECES = lines(
    About(
        "How long between two pieces?",
        f"As the caller saw it. Good: p95 under {FLOWS}; above {seconds(STUTTER.warning)} readers see it stutter.",
        "s",
        NO_STREAM,
    ),
    percentiles(lambda q: run_quantile(q, "loadgen_inter_chunk_seconds"), 95, 50),
    STUTTER,
)
TOKENS = lines(
    About(
        "How many tokens per second?",
        "Tokens that arrived. Level while users rise: the model is the limit.",
        "none",
        NO_STREAM,
    ),
    [Query(run_rate("loadgen_tokens_total"), "tokens", colours.TRAFFIC)],
)

BOARD = Board(
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
        Row(4, [(4, panel) for panel in (VERDICT_NOW, DONE_NOW, FAILED_NOW, P95_NOW, KNEE, DROPPED_NOW)]),
        Row(9, [(12, OFFERED_ACHIEVED), (12, BOTH_SIDES)]),
        Row(8, [(12, ENDPOINTS), (12, BY_ENDPOINT)]),
        Row(7, [(6, LOAD), (6, OUTCOMES), (6, HONEST), (6, GENERATOR_CPU)]),
        Row(7, [(8, FIRST_TOKEN), (8, PIECES), (8, TOKENS)], title="Streamed answers"),
    ),
)
