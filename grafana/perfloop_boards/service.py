"""The service board: how each route performs, and where the time of a request is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.precision import precise
from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import STUTTER, percent, seconds
from perfloop_boards.links import CLICKED, of_label, to_board
from perfloop_boards.panels import About, figure, heat, lines, number, percentile, stacked
from perfloop_boards.queries import (
    Query,
    buckets,
    chosen,
    known,
    mean,
    percentiles,
    quantile,
    rate,
    rate_of_any,
    ratio,
    share,
)
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import SERVICES

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.links import Link
    from perfloop_boards.panels import AnyPanel

DURATION = "http_server_request_duration_seconds"
FIRST_BYTE = "http_server_time_to_first_byte_seconds"
SERVICE = chosen("service")
ROUTE = ('service=~"$service"', 'http_route=~"$route"')
FAILED = 'http_response_status_code=~"5.."'
# Responses that broke after their headers: they keep the status with which they began.
BROKEN = ('error_type!=""', 'http_response_status_code!~"4..|5.."')
# Every named set of buckets has these: a row for each of 166 could not be read, and would be asked for at every step.
HEAT_BOUNDS = (
    'le=~"0.0001|0.00025|0.0005|0.001|0.0025|0.005|0.01|0.025|0.05|0.1|0.25|0.5|0.75|'
    '1(.0)?|2.5|5(.0)?|7.5|10(.0)?|30(.0)?|60(.0)?|.Inf"'
)
NO_TRAFFIC = "No HTTP requests for this selection and time range: is the service instrumented, and is it called?"
NO_STREAM = "No streamed responses for this selection and time range."


def _to_signal(signal: str) -> Link:
    return to_board("Open the analysis of this signal", "analysis", "service", signal=signal)


OF_ROUTE = (to_board("Show this route alone", "service", "service", route=of_label("http_route")),)
TO_MODEL = to_board("Open the LLM board", "llm", "service")
TO_DATA = to_board("Open the Database and cache board", "database-cache", "service")
TO_ALERTS = to_board("Open the alerts of this time", "alerts")
TO_ANALYSIS = to_board("Open the Analysis board", "analysis", "service")
TO_RESPONSES, TO_FAILURES = _to_signal("api_response_time_p95"), _to_signal("error_ratio")


def _failed_share(*by: str) -> str:
    count = f"{DURATION}_count"
    failed = rate_of_any(count, (*ROUTE, FAILED), (*ROUTE, *BROKEN), by=by)
    return ratio(failed, rate(count, *ROUTE, by=by))


def _requests_now() -> AnyPanel:
    return figure(
        About(
            "Request rate",
            "All chosen routes. After a sudden drop, check what calls the service.",
            "reqps",
            "no traffic",
            links=(TO_ANALYSIS,),
        ),
        Query(rate(f"{DURATION}_count", *ROUTE)),
        colours.TRAFFIC,
        watch=SERVICES,
    )


def _failed_now(limits: Limits) -> AnyPanel:
    failures = limits.signal("error_ratio")
    return number(
        About(
            "Failed requests",
            f"Share of requests answered with a 5xx status. Good: under {percent(limits.goal('error_ratio'))}. "
            f"Above {percent(failures.first)}, find the route in the table, then read its log and the alert's "
            "runbook.",
            "percentunit",
            "no traffic",
            links=(TO_FAILURES,),
        ),
        Query(_failed_share()),
        failures,
        watch=SERVICES,
    )


def _p95_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return percentile(
        About(
            "Response p95",
            f"Good: under {fast}. Above {seconds(response.first)}, see below where the time is spent.",
            "s",
            "no traffic",
            links=(TO_RESPONSES,),
        ),
        precise(0.95, buckets(DURATION, *ROUTE)),
        response,
        watch=SERVICES,
    )


def _first_byte_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return percentile(
        About(
            "First byte p95",
            f"Time until the first byte of the response. Good: under {fast}. Above: the service waits before it "
            "responds.",
            "s",
            "no traffic",
            links=(TO_RESPONSES,),
        ),
        precise(0.95, buckets(FIRST_BYTE, *ROUTE)),
        response,
        watch=SERVICES,
    )


def _active_now() -> AnyPanel:
    return figure(
        About(
            "In flight",
            "Requests being processed. Good: steady. A number that only grows means that requests arrive faster "
            "than they complete.",
            "none",
            "no traffic",
            decimals=0,
            links=(TO_ANALYSIS,),
        ),
        Query('sum(http_server_active_requests{service=~"$service"})'),
        colours.TRAFFIC,
        watch=SERVICES,
    )


def _disconnects_now(limits: Limits) -> AnyPanel:
    giving_up = limits.alert("ClientsGivingUp")
    return number(
        About(
            "Client disconnects (499)",
            "Share of requests whose client disconnected before the response ended. Good: under "
            f"{percent(giving_up.first)}. Above: responses take longer than clients wait.",
            "percentunit",
            "no traffic",
            links=(_to_signal("timeout_ratio"),),
        ),
        Query(share(rate("http_server_client_disconnects_total", *SERVICE), rate(f"{DURATION}_count", *SERVICE))),
        giving_up,
        watch=SERVICES,
    )


def _rate_by_route() -> AnyPanel:
    return lines(
        About(
            "Request rate by route",
            "Good: the usual pattern. If a new route leads, find out who calls it.",
            "reqps",
            NO_TRAFFIC,
            links=OF_ROUTE,
        ),
        [Query(rate(f"{DURATION}_count", *ROUTE, by=("http_route",)), "{{http_route}}")],
    )


def _failed_by_route(limits: Limits) -> AnyPanel:
    failures = limits.signal("error_ratio")
    return lines(
        About(
            "Failed requests by route",
            "Share of requests answered with a 5xx status. Good: failures stay at zero. One route up: its code "
            "or its dependency. All up: what they share.",
            "percentunit",
            NO_TRAFFIC,
            links=OF_ROUTE,
        ),
        [Query(_failed_share("http_route"), "{{http_route}}")],
        failures,
    )


def _p95_by_route(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "Response time p95 by route",
            "Good: under the dashed line. A streamed response lasts as long as its content: judge it by its "
            "first byte.",
            "s",
            NO_TRAFFIC,
            links=OF_ROUTE,
        ),
        [Query(quantile(0.95, DURATION, *ROUTE, by=("http_route",)), "{{http_route}}")],
        response,
    )


def _shape() -> AnyPanel:
    return heat(
        About(
            "Response time distribution",
            "Good: one dark band, low. Two bands: two kinds of requests, or cache hits and misses; look at each.",
            "s",
            NO_TRAFFIC,
            links=(TO_RESPONSES,),
        ),
        Query(rate(f"{DURATION}_bucket", *ROUTE, HEAT_BOUNDS, by=("le",)), "{{le}}"),
    )


def _routes(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    failures = limits.signal("error_ratio")
    return rows(
        About(
            "Routes",
            "Sorted by p95. Good: no red. Start with the first row that has much traffic.",
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
            Column(
                "http_route",
                "Route",
                links=(to_board("Show this route alone", "service", "service", route=CLICKED),),
            ),
            Column("Value #A", "Requests/s", unit="reqps", width=110),
            Column("Value #B", "Failed requests", unit="percentunit", limit=failures, width=130),
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
            "Time spent by dependency",
            "Seconds spent in each dependency per second of request handling. Optimize the largest part first. "
            "Parallel calls can add up to more than 100%.",
            "percentunit",
            NO_TRAFFIC,
            links=(TO_DATA, TO_MODEL),
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
            "Responses by status class",
            "Responses per second. Good: 2xx and 3xx. 4xx: the client's request was wrong; 499: the client "
            "disconnected; 5xx: the service failed; broken: it failed within its response.",
            "reqps",
            NO_TRAFFIC,
            links=(TO_FAILURES, TO_ALERTS),
        ),
        [
            *(
                Query(
                    rate(f"{DURATION}_count", *ROUTE, f'http_response_status_code=~"{digit}.."', *whole), name, colour
                )
                for digit, whole, name, colour in (
                    ("2", ('error_type=""',), "2xx", colours.TRAFFIC),
                    ("3", ('error_type=""',), "3xx", colours.OTHER),
                    ("4", (), "4xx", colours.CALLER),
                    ("5", (), "5xx", colours.ERRORS),
                )
            ),
            Query(rate(f"{DURATION}_count", *ROUTE, *BROKEN), "broken", colours.BROKEN),
        ],
    )


def _first_byte_times(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    fast = seconds(limits.goal("api_response_time_p95"))
    return lines(
        About(
            "Time to first byte",
            f"Good: p95 under {fast}. Far below the response time: the response is streamed. Equal: it is sent in "
            "one piece.",
            "s",
            NO_TRAFFIC,
            links=(TO_RESPONSES, TO_MODEL),
        ),
        percentiles(lambda q: quantile(q, FIRST_BYTE, *ROUTE)),
        response,
    )


def _gaps(limits: Limits) -> AnyPanel:
    flows = seconds(limits.slo("inter_token").first)
    return lines(
        About(
            "Inter-chunk gap (streaming)",
            f"Time between chunks of a response. Good: under {flows}, it reads as continuous text. Above "
            f"{seconds(STUTTER.first)}, it visibly stutters: the model is overloaded.",
            "s",
            NO_STREAM,
            links=(TO_MODEL,),
        ),
        percentiles(lambda q: quantile(q, "http_server_response_chunk_gap_seconds", *SERVICE), 95, 50),
        STUTTER,
    )


def _bytes() -> AnyPanel:
    return lines(
        About(
            "Request and response bodies",
            "Bytes per second. Large uncompressed responses are the cheapest to improve.",
            "Bps",
            NO_TRAFFIC,
            links=(to_board("Open the System board", "system"),),
        ),
        [
            Query(rate("http_server_request_body_bytes_total", *SERVICE), "request bodies", colours.FAST),
            Query(rate("http_server_response_body_bytes_total", *SERVICE), "response bodies", colours.TRAFFIC),
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
        question="How does each route perform, and where is the time of a request spent?",
        related=("overview", "slo", "database-cache", "llm", "load-test", "analysis", "capacity", "kubernetes"),
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
                [
                    (5, _requests_now()),
                    (5, _failed_now(limits)),
                    (4, _p95_now(limits)),
                    (4, _active_now()),
                    (6, _disconnects_now(limits)),
                ],
            ),
            Row(10, evenly(_rate_by_route(), failed_by_route, p95_by_route)),
            Row(9, evenly(_routes(limits), _shares())),
            Row(9, evenly(_shape(), statuses)),
            Row(
                8,
                [(4, _first_byte_now(limits)), (7, _first_byte_times(limits)), (7, _gaps(limits)), (6, _bytes())],
                title="Streaming and body size",
            ),
        ),
    )
