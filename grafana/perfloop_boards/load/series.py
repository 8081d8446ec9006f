"""A run over time: what was offered and completed, latency, outcomes, phases, and the generator itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.limits import STUTTER, Limit, percent, seconds
from perfloop_boards.links import to_board
from perfloop_boards.load.runs import (
    CLIENT_P95_OVER_TIME,
    FAILED_OVER_TIME,
    GOOD_OVER_TIME,
    NO_LINE,
    NOT_OK,
    OK,
    TO_SERVICE,
    level,
    over_time,
    quantile_over_time,
)
from perfloop_boards.panels import About, lines, stacked
from perfloop_boards.queries import Query, chosen, percentiles, quantile

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NO_STREAM = "No streamed responses were requested in this run."
NO_PHASES = "No phases in this run: its engine (httpx) does not measure them, or it is too short for a line."
# Beyond these the load generator says itself that a test is invalid (its `generator_limits`).
LATE = Limit(warning=0.01, critical=0.05)
BUSY = Limit(warning=0.8, critical=0.9)
# A load may have hundreds of workers: of those only the busiest are of interest.
MOST_WORKERS = 10
# The variable is empty where no test ran in the time range: the query is valid then too, and finds nothing.
CHOSEN = "0$quantile"
TO_LLM = to_board("Open the LLM board", "llm")
TO_STACK = to_board("Open the Monitoring stack board", "stack")
PHASES = {
    "connect": colours.NETWORK,
    "tls": colours.CACHE,
    "wait": colours.SLOW,
    "receive": colours.DATABASE,
}


def offered() -> AnyPanel:
    """Return both rates, of counters of the same moments over the same window: they part only where the load does."""
    return lines(
        About(
            "Offered vs. completed rate",
            "Good: completed follows offered, and none fails. They part at the knee: more load only makes "
            "clients wait. A test that sets users offers as much as the responses allow.",
            "reqps",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [
            Query(over_time("loadgen_offered_total"), "offered", colours.OFFERED),
            Query(GOOD_OVER_TIME, "completed", colours.TRAFFIC),
            Query(FAILED_OVER_TIME, "failed requests", colours.ERRORS),
        ],
    )


def both_sides(limits: Limits) -> AnyPanel:
    """Return the latency that the client measured beside the server's own."""
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "p95: client vs. server",
            "Good: close together. A gap is time in queues: too few workers or connections in front of the service.",
            "s",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [
            Query(CLIENT_P95_OVER_TIME, "client, from the intended start", colours.CLIENT),
            Query(quantile_over_time(0.95, "loadgen_service_seconds"), "client, from the actual start", colours.FAST),
            Query(quantile(0.95, "http_server_request_duration_seconds", *chosen("service")), "server", colours.SLOW),
        ],
        response,
    )


def by_endpoint(limits: Limits) -> AnyPanel:
    """Return the response times of the endpoints."""
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "Response time by endpoint ($quantile)",
            "The chosen quantile, as the client measured it. Good: under the dashed line, the limit of the p95. The "
            "first endpoint to rise is the limit.",
            "s",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [Query(quantile_over_time(CHOSEN, "loadgen_response_seconds", by="endpoint"), "{{endpoint}}")],
        response,
    )


def users() -> AnyPanel:
    """Return the users of the generator."""
    return lines(
        About(
            "Active users",
            "Users of the generator. Good: the profile of the test: ramp, hold, spike.",
            "none",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [Query(f"sum({level('loadgen_users')})", "users", colours.OFFERED)],
    )


def outcomes() -> AnyPanel:
    """Return how requests ended."""
    return stacked(
        About(
            "Requests by outcome",
            "Requests per second. Good: ok alone. Timeouts: the service is too slow. Connect errors: it accepts "
            "no more connections.",
            "reqps",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [
            Query(over_time("loadgen_requests_total", OK), "ok", colours.TRAFFIC),
            Query(over_time("loadgen_requests_total", NOT_OK, by="outcome"), "{{outcome}}"),
        ],
        known=colours.BAD_ENDS,
    )


def statuses() -> AnyPanel:
    """Return what the service answered."""
    return stacked(
        About(
            "Responses by status code",
            "Responses per second, redirects that were followed among them. Good: the codes that the test expects. "
            "429: a limit on the rate; 5xx: the service fails.",
            "reqps",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [Query(over_time("loadgen_responses_total", by="status"), "{{status}}")],
    )


def connections() -> AnyPanel:
    """Return how many connections are made, and how many requests are sent again."""
    return lines(
        About(
            "New connections",
            "New connections per second by protocol, and requests sent again since the service had closed their "
            "connection. Good: far fewer than requests. As many as requests: the service keeps no connection alive.",
            "cps",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [
            Query(over_time("loadgen_connections_total", by="protocol"), "{{protocol}}"),
            Query(over_time("loadgen_retried_total"), "sent again", colours.CALLER),
        ],
    )


def delays() -> AnyPanel:
    """Return how late the generator itself was."""
    return lines(
        About(
            "Generator delays (p99)",
            "How late requests started, and the delays of the generator's event loop. Good: under "
            f"{seconds(LATE.first)}. Event loop delays above {seconds(LATE.last)} make the test invalid: the "
            "results contain the generator's own delays.",
            "s",
            NO_LINE,
            links=(TO_STACK,),
        ),
        [
            Query(quantile_over_time(0.99, "loadgen_schedule_lag_seconds"), "schedule lag", colours.SLOW),
            Query(f"max({level('loadgen_event_loop_lag_seconds')})", "event loop delay", colours.OTHER),
        ],
        LATE,
    )


def cpu() -> AnyPanel:
    """Return how busy the generator is."""
    return lines(
        About(
            "Generator CPU",
            f"Share of one core used by its busiest process, and by each of several workers. Good: under "
            f"{percent(BUSY.first)}. Above {percent(BUSY.last)}, the test is invalid: more workers, or less load.",
            "percentunit",
            NO_LINE,
            links=(TO_STACK,),
        ),
        [
            Query(f"max({level('loadgen_cpu_used_ratio')})", "busiest process", colours.CPU),
            Query(
                f"topk({MOST_WORKERS}, max by (worker) ({level('loadgen_worker_cpu_used_ratio')}))", "worker {{worker}}"
            ),
        ],
        BUSY,
    )


def phases() -> AnyPanel:
    """Return where the time of requests goes."""
    return lines(
        About(
            "Phases of requests ($quantile)",
            "connect and tls: of each new connection. wait: from the sent request to the first byte of the response. "
            "receive: the rest of responses that came in several pieces. Good: wait alone.",
            "s",
            NO_PHASES,
            links=(TO_SERVICE,),
        ),
        [Query(quantile_over_time(CHOSEN, "loadgen_request_phase_seconds", by="phase"), "{{phase}}")],
        known=PHASES,
    )


def transfer() -> AnyPanel:
    """Return the bytes per second."""
    return lines(
        About(
            "Bytes received",
            "Per second, heads included. Level while the rate rises: the network is the limit.",
            "Bps",
            NO_LINE,
            links=(TO_SERVICE,),
        ),
        [Query(over_time("loadgen_received_bytes_total"), "received", colours.NETWORK)],
    )


def first_token(limits: Limits) -> AnyPanel:
    """Return the time to first token."""
    token_in_time = limits.slo("first_token")
    return lines(
        About(
            "Time to first token",
            f"As the client measured it, reasoning included. Good: p95 under {seconds(token_in_time.first)}.",
            "s",
            NO_STREAM,
            links=(TO_LLM,),
        ),
        [
            *percentiles(lambda q: quantile_over_time(q, "loadgen_time_to_first_token_seconds"), 95, 50),
            Query(
                quantile_over_time(0.95, "loadgen_time_to_first_answer_token_seconds"),
                "p95 of the answer, after reasoning",
                colours.MODEL,
            ),
        ],
        token_in_time,
    )


def gaps(limits: Limits) -> AnyPanel:
    """Return the gaps within streamed responses."""
    flows = seconds(limits.slo("inter_token").first)
    return lines(
        About(
            "Inter-chunk gap (streaming)",
            f"As the client measured it. Good: p95 under {flows}. Above {seconds(STUTTER.first)}, the text "
            "visibly stutters.",
            "s",
            NO_STREAM,
            links=(TO_LLM,),
        ),
        percentiles(lambda q: quantile_over_time(q, "loadgen_inter_chunk_seconds"), 95, 50),
        STUTTER,
    )


def tokens() -> AnyPanel:
    """Return the tokens per second."""
    return lines(
        About(
            "Token throughput",
            "Tokens received per second. Level while users rise: the model is the limit.",
            "none",
            NO_STREAM,
            links=(TO_LLM,),
        ),
        [Query(over_time("loadgen_tokens_total", 'direction="output"'), "tokens", colours.TRAFFIC)],
    )
