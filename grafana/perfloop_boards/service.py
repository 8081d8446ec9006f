"""The service board: how each route does, and where the time of a request goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import STUTTER, percent, seconds
from perfloop_boards.panels import About, figure, heat, lines, number, stacked
from perfloop_boards.queries import Query, chosen, known, mean, percentiles, quantile, rate, ratio
from perfloop_boards.tables import Column, rows

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

DURATION = "http_server_request_duration_seconds"
FIRST_BYTE = "http_server_time_to_first_byte_seconds"
SERVICE = chosen("service")
ROUTE = ('service=~"$service"', 'http_route=~"$route"')
FAILED = 'http_response_status_code=~"5.."'
NO_TRAFFIC = "No HTTP request was seen in this time: is the service instrumented, and does anyone call it?"
NO_STREAM = "No streamed answer was seen in this time."


def _failed_share(*by: str) -> str:
    return ratio(rate(f"{DURATION}_count", *ROUTE, FAILED, by=by), rate(f"{DURATION}_count", *ROUTE, by=by))


def _requests_now() -> AnyPanel:
    return figure(
        About("Requests/s", "All chosen routes. A sudden fall: look upstream.", "reqps", "no traffic"),
        Query(rate(f"{DURATION}_count", *ROUTE)),
        colours.TRAFFIC,
    )


def _failed_now(limits: Limits) -> AnyPanel:
    failures = limits.signal("error_ratio")
    return number(
        About(
            "Failed requests",
            f"Good: under {percent(limits.goal('error_ratio'))}. Above {percent(failures.first)} "
            "find the route in the table, then its log and its alert's runbook.",
            "percentunit",
            "no traffic",
        ),
        Query(_failed_share()),
        failures,
    )


def _p95_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return number(
        About(
            "Response, p95",
            f"Good: under {fast}. Above {seconds(response.first)} see where the time goes, below.",
            "s",
            "no traffic",
        ),
        Query(quantile(0.95, DURATION, *ROUTE)),
        response,
    )


def _first_byte_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return number(
        About(
            "First byte, p95",
            f"When the caller sees the first sign of an answer. Good: under {fast}. Above: it waits before it works.",
            "s",
            "no traffic",
        ),
        Query(quantile(0.95, FIRST_BYTE, *ROUTE)),
        response,
    )


def _active_now() -> AnyPanel:
    return figure(
        About(
            "In flight",
            "Being served now. Good: steady. A number that only grows means that answers come slower than questions.",
            "none",
            "no traffic",
            decimals=0,
        ),
        Query('sum(http_server_active_requests{service=~"$service"})'),
        colours.TRAFFIC,
    )


def _gone_now(limits: Limits) -> AnyPanel:
    giving_up = limits.alert("ClientsGivingUp")
    return number(
        About(
            "Callers that left",
            "Share of requests whose caller left before the end. "
            f"Good: under {percent(giving_up.first)}. Above: too slow for their patience.",
            "percentunit",
            "no traffic",
        ),
        Query(ratio(rate("http_server_client_disconnects_total", *SERVICE), rate(f"{DURATION}_count", *SERVICE))),
        giving_up,
    )


def _rate_by_route() -> AnyPanel:
    return lines(
        About(
            "How much is asked of each route?",
            "Good: the shape you know. A new route on top: who calls it?",
            "reqps",
            NO_TRAFFIC,
        ),
        [Query(rate(f"{DURATION}_count", *ROUTE, by=("http_route",)), "{{http_route}}")],
    )


def _failed_by_route(limits: Limits) -> AnyPanel:
    failures = limits.signal("error_ratio")
    return lines(
        About(
            "Which route fails?",
            "Good: all on the ground. One route up: its code or its dependency; all up: what they share.",
            "percentunit",
            NO_TRAFFIC,
        ),
        [Query(_failed_share("http_route"), "{{http_route}}")],
        failures,
    )


def _p95_by_route(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "Which route is slow?",
            "p95 of each. Good: under the dashed line. A streamed answer lasts as long as the answer: see its first byte.",
            "s",
            NO_TRAFFIC,
        ),
        [Query(quantile(0.95, DURATION, *ROUTE, by=("http_route",)), "{{http_route}}", exemplar=True)],
        response,
    )


def _shape() -> AnyPanel:
    return heat(
        About(
            "How are response times spread?",
            "Good: one dark band, low. Two bands are two kinds of request, or hits and misses of a cache: look at each.",
            "s",
            NO_TRAFFIC,
        ),
        Query(rate(f"{DURATION}_bucket", *ROUTE, by=("le",)), "{{le}}"),
    )


def _routes(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    failures = limits.signal("error_ratio")
    return rows(
        About(
            "Routes",
            "Sorted by p95. Good: no red. The first line with much traffic is worth the first look.",
            "none",
            NO_TRAFFIC,
        ),
        [
            Query(f"{rate(f'{DURATION}_count', *ROUTE, by=('http_route',))} > 0", instant=True),
            Query(known(_failed_share("http_route")), instant=True),
            Query(known(mean(DURATION, *ROUTE, by=("http_route",))), instant=True),
            Query(known(quantile(0.95, DURATION, *ROUTE, by=("http_route",))), instant=True),
        ],
        [
            Column("http_route", "Route"),
            Column("Value #A", "Requests/s", unit="reqps", width=110),
            Column("Value #B", "Failed", unit="percentunit", limit=failures, width=90),
            Column("Value #C", "Mean", unit="s", width=90),
            Column("Value #D", "p95", unit="s", limit=response, width=90),
        ],
        sort="p95",
    )


def _time_in(histogram: str, *matchers: str) -> str:
    return ratio(rate(f"{histogram}_sum", *SERVICE, *matchers), rate(f"{DURATION}_sum", *SERVICE))


PARTS = {
    "database": (_time_in("db_client_operation_duration_seconds", 'db_system_name!="vector"'), colours.DATABASE),
    "vector search": (_time_in("db_client_operation_duration_seconds", 'db_system_name="vector"'), colours.VECTOR),
    "cache": (_time_in("cache_operation_duration_seconds"), colours.CACHE),
    "model": (_time_in("gen_ai_server_request_duration_seconds"), colours.MODEL),
}


def _shares() -> AnyPanel:
    return stacked(
        About(
            "Where does the time of a request go?",
            "Seconds spent in each dependency for each second of answering. The largest part is worth the work. "
            "Calls side by side can add up to more than 100 %.",
            "percentunit",
            NO_TRAFFIC,
        ),
        [
            *(Query(expr, name, colour) for name, (expr, colour) in PARTS.items()),
            Query(
                f"clamp_min(1 - {' - '.join(expr for expr, _ in PARTS.values())}, 0)",
                "the service itself",
                colours.OTHER,
            ),
        ],
    )


def _statuses() -> AnyPanel:
    return stacked(
        About(
            "Which answers are given?",
            "Requests per second by status. Good: 2xx and 3xx. 4xx is the callers' side, 499 a caller that left, 5xx ours.",
            "reqps",
            NO_TRAFFIC,
        ),
        [
            Query(rate(f"{DURATION}_count", *ROUTE, f'http_response_status_code=~"{digit}.."'), f"{digit}xx", colour)
            for digit, colour in (
                ("2", colours.TRAFFIC),
                ("3", colours.OTHER),
                ("4", colours.CALLER),
                ("5", colours.ERRORS),
            )
        ],
    )


def _first_byte_times(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return lines(
        About(
            "How long until the first byte?",
            f"Good: p95 under {fast}. Far below the response time: the answer streams; equal: it comes in one piece.",
            "s",
            NO_TRAFFIC,
        ),
        percentiles(lambda q: quantile(q, FIRST_BYTE, *ROUTE)),
        response,
    )


def _gaps(limits: Limits) -> AnyPanel:
    flows = seconds(limits.slo("inter_token").first)
    return lines(
        About(
            "How long between pieces of a streamed answer?",
            f"Good: under {flows}, it reads as one flow. "
            f"Above {seconds(STUTTER.first)} readers see it stutter: the model is full.",
            "s",
            NO_STREAM,
        ),
        percentiles(lambda q: quantile(q, "http_server_response_chunk_gap_seconds", *SERVICE), 95, 50),
        STUTTER,
    )


def _bytes() -> AnyPanel:
    return lines(
        About(
            "How much is sent?",
            "Bytes per second of bodies in and out. Large answers without compression are the cheapest thing to mend.",
            "Bps",
            NO_TRAFFIC,
        ),
        [
            Query(rate("http_server_request_body_bytes_total", *SERVICE), "bodies in", colours.FAST),
            Query(rate("http_server_response_body_bytes_total", *SERVICE), "bodies out", colours.TRAFFIC),
        ],
    )


def build(limits: Limits) -> Board:
    """The service board of a configuration."""
    p95_by_route = _p95_by_route(limits)
    failed_by_route = _failed_by_route(limits)
    statuses = _statuses()
    return Board(
        uid="service",
        title="Service",
        question="How does each route do, and where does the time of a request go?",
        related=("overview", "database-cache", "llm", "load-test", "analysis"),
        variables=(
            choice("service", "Service", f"{DURATION}_count"),
            choice("route", "Route", f'{DURATION}_count{{service=~"$service"}}', label_name="http_route"),
        ),
        signals={
            "api_response_time_p95": p95_by_route,
            "error_ratio": failed_by_route,
            "timeout_ratio": statuses,
        },
        rows=(
            Row(
                4,
                evenly(
                    _requests_now(),
                    _failed_now(limits),
                    _p95_now(limits),
                    _first_byte_now(limits),
                    _active_now(),
                    _gone_now(limits),
                ),
            ),
            Row(8, evenly(_rate_by_route(), failed_by_route, p95_by_route)),
            Row(8, evenly(_routes(limits), _shares())),
            Row(9, evenly(_shape(), statuses)),
            Row(8, evenly(_first_byte_times(limits), _gaps(limits), _bytes()), title="Streaming and size"),
        ),
    )
