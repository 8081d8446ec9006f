"""The overview: is the service healthy, and if not, what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.precision import recorded
from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.changes import recent_changes
from perfloop_boards.findings import HEALTH, penalties
from perfloop_boards.limits import percent, plain, seconds
from perfloop_boards.links import to_board
from perfloop_boards.panels import About, counts, figure, lines, number, percentile
from perfloop_boards.problems import FIRING, firing_now, incidents, top_recommendations
from perfloop_boards.queries import Query, chosen, ever, percentiles, selector
from perfloop_boards.services import SPENT, services
from perfloop_boards.watches import ANALYZER, SERVICES

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

SERVICE = selector(*chosen("service"))
TO_SERVICE = (to_board("Open the Service board", "service", "service"),)
NO_REQUESTS = "No HTTP requests to the chosen services in this time range."


def _health_now() -> AnyPanel:
    return number(
        About(
            "Health score",
            f"Health score (0 to 100) of the worst service: 100 minus the penalties in the table below. Good: "
            f"{plain(HEALTH.first)} and above is healthy. Below {plain(HEALTH.last)}, act.",
            "none",
            "no score yet",
            decimals=0,
            links=(to_board("Open the Analysis board", "analysis", "service"),),
        ),
        Query(f"min(perfloop_health_score{SERVICE})"),
        HEALTH,
        watch=ANALYZER,
    )


def _budget_spent() -> AnyPanel:
    spent = f"topk(1, max by (service, slo) (service_slo:slo_error_budget_spent:ratio{SERVICE}))"
    return number(
        About(
            "Budget spent",
            "Share of the error budget that is spent (worst SLO), of the time since data began, 30 days at most: the "
            "name of the SLO and that time stand there. Good: under 75%. At 100%, stop releases and fix what fails.",
            "percentunit",
            "no traffic",
            decimals=0,
            links=(to_board("Open the SLO board", "slo", "service"),),
        ),
        Query(f"{spent} * on (service, slo) group_left (window) service_slo:slo_window:info", "{{slo}}, {{window}}"),
        SPENT,
        watch=SERVICES,
    )


def _firing() -> AnyPanel:
    # No watch: Prometheus itself knows what fires; while it is down, every panel says so.
    return counts(
        About(
            "Alerts firing",
            "Good: none. Critical ones have already paged someone. They are listed below; the Alerts board has their "
            "history.",
            "none",
            "none",
            decimals=0,
            links=(to_board("Open the Alerts board", "alerts"),),
        ),
        {"critical": (FIRING["critical"], colours.BAD), "warning": (FIRING["warning"], colours.WARNING)},
    )


def _response_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return percentile(
        About(
            "Response p95",
            f"95% of requests are faster. Good: under {seconds(limits.goal('api_response_time_p95'))}. Above "
            f"{seconds(response.first)}, open the Service board.",
            "s",
            "no traffic",
            links=TO_SERVICE,
        ),
        recorded("service:http_server_request_duration_seconds:p95_rate1m", SERVICE, "service"),
        response,
        watch=SERVICES,
    )


def _errors_now(limits: Limits) -> AnyPanel:
    failures = limits.signal("error_ratio")
    return number(
        About(
            "Failed requests",
            f"Share of requests answered with a 5xx status. Good: under {percent(limits.goal('error_ratio'))}. "
            f"Above {percent(failures.first)}, callers notice: open the Service board.",
            "percentunit",
            "no traffic",
            links=TO_SERVICE,
        ),
        Query(f"max(service:http_server_errors:ratio_rate1m{SERVICE})"),
        failures,
        watch=SERVICES,
    )


def _traffic_now() -> AnyPanel:
    return figure(
        About(
            "Request rate",
            "HTTP requests per second, all chosen services. A sudden drop is as bad as a peak: check what calls them.",
            "reqps",
            "no traffic",
            links=TO_SERVICE,
        ),
        Query(f"sum(service:http_server_requests:rate1m{SERVICE})"),
        colours.TRAFFIC,
        watch=SERVICES,
    )


def _penalties(limits: Limits) -> AnyPanel:
    return penalties("Signals that lower the score, worst first. Empty = none.", limits.by_route())


def _traffic() -> AnyPanel:
    return lines(
        About(
            "Requests and failed requests",
            "Good: failures stay at zero. Failures that rise with the traffic suggest a limit; without more "
            "traffic, a fault.",
            "reqps",
            NO_REQUESTS,
            links=TO_SERVICE,
        ),
        [
            Query(f"sum(service:http_server_requests:rate1m{SERVICE})", "requests", colours.TRAFFIC),
            Query(
                ever(
                    f"sum(service:http_server_requests:rate1m{SERVICE}"
                    f" * service:http_server_errors:ratio_rate1m{SERVICE})"
                ),
                "failed requests",
                colours.ERRORS,
            ),
        ],
    )


def _latency(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "Response time percentiles",
            "Good: p95 under the dashed line. p99 far above p95: a few slow requests. All lines up: everything waits.",
            "s",
            NO_REQUESTS,
            links=TO_SERVICE,
        ),
        percentiles(lambda q: f"max(service:http_server_request_duration_seconds:p{q * 100:g}_rate1m{SERVICE})"),
        response,
    )


def _machines(limits: Limits) -> AnyPanel:
    cpu = limits.signal("cpu_used_ratio")
    memory = limits.signal("memory_used_ratio")
    return lines(
        About(
            "CPU and memory used",
            f"The fullest machine of each kind. Good: CPU under {percent(cpu.first)}, memory under "
            f"{percent(memory.first)}. Above that, open the System board.",
            "percentunit",
            "No machine is monitored: is the exporter running?",
            links=(to_board("Open the System board", "system"),),
        ),
        [
            Query("max(instance:node_cpu_used:ratio_rate1m)", "CPU", colours.CPU),
            Query("max(instance:node_memory_used:ratio)", "memory", colours.MEMORY),
        ],
        cpu,
    )


def build(limits: Limits) -> Board:
    """The overview board of a configuration."""
    return Board(
        uid="overview",
        title="Overview",
        question="Is the service healthy, and if not, what should be done first?",
        related=("service", "slo", "system", "database-cache", "recommendations", "alerts"),
        variables=(choice("service", "Service", "service:http_server_requests:rate1m"),),
        rows=(
            Row(
                5,
                evenly(
                    _health_now(),
                    _budget_spent(),
                    _firing(),
                    _response_now(limits),
                    _errors_now(limits),
                    _traffic_now(),
                ),
            ),
            Row(5, [(24, services(limits))]),
            Row(6, evenly(_penalties(limits), incidents())),
            Row(6, [(24, top_recommendations())]),
            Row(9, evenly(_traffic(), _latency(limits), _machines(limits))),
            Row(8, evenly(firing_now(), recent_changes(limits))),
        ),
    )
