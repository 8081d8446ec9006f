"""The overview: is the service healthy, and if not, what to do first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.findings import HEALTH, OPEN, penalties, worth_of
from perfloop_boards.limits import Limit, percent, plain, seconds
from perfloop_boards.panels import About, figure, lines, number
from perfloop_boards.queries import Query, chosen, or_zero, percentiles, selector, worst_firing
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import PRIORITY, SEVERITY, name_signals

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

SERVICE = selector(*chosen("service"))


def _health_now() -> AnyPanel:
    return number(
        About(
            "Health score",
            f"From 0 to 100: 100 minus the penalties in the table below. Good: {plain(HEALTH.first)} "
            f"and above. Below {plain(HEALTH.last)}, act.",
            "none",
            "no score yet",
            decimals=0,
        ),
        Query(f"min(perfloop_health_score{SERVICE})"),
        HEALTH,
    )


def _budget_left() -> AnyPanel:
    return number(
        About(
            "Error budget",
            "Error budget remaining over 30 days, of the SLO that has the least. Good: above 25%. At 0%, stop "
            "releases and fix what fails.",
            "percentunit",
            "no traffic",
            decimals=0,
        ),
        Query(f"min(service_slo:slo_error_budget_left:ratio{SERVICE})"),
        Limit(warning=0.25, critical=0, below=True),
    )


FIRING_ONCE = worst_firing("", "alertname", "service")


def _firing() -> AnyPanel:
    return number(
        About(
            "Alerts firing",
            "Good: 0. They are listed below; the Alerts board has their history.",
            "none",
            "none",
            decimals=0,
        ),
        Query(or_zero(f"count({FIRING_ONCE})")),
        Limit(warning=1, critical=5),
    )


def _response_now(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return number(
        About(
            "Response p95",
            f"95% of requests are faster. Good: under {seconds(limits.goal('api_response_time_p95'))}. Above "
            f"{seconds(response.first)}, open the Service board.",
            "s",
            "no traffic",
        ),
        Query(f"max(service:http_server_request_duration_seconds:p95_rate1m{SERVICE})"),
        response,
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
        ),
        Query(f"max(service:http_server_errors:ratio_rate1m{SERVICE})"),
        failures,
    )


def _traffic_now() -> AnyPanel:
    return figure(
        About(
            "Request rate",
            "HTTP requests per second, all chosen services. A sudden drop is as bad as a peak: check what calls them.",
            "reqps",
            "no traffic",
        ),
        Query(f"sum(service:http_server_requests:rate1m{SERVICE})"),
        colours.TRAFFIC,
    )


def _penalties(limits: Limits) -> AnyPanel:
    return penalties(
        "Points that each signal takes off the health score, worst first. Good: no row.",
        limits.by_route(),
    )


def _top_recommendations() -> AnyPanel:
    return rows(
        About(
            "Top recommendations",
            "Open recommendations with the highest expected gain. Accept one and mark it as implemented: its "
            "gain is then measured.",
            "none",
            "No open recommendation: no bottleneck was found, or the analyzer is down.",
        ),
        [
            Query(
                f"topk(5, {worth_of(*chosen('service'), OPEN)})",
                instant=True,
            )
        ],
        [
            Column("priority", "Priority", words=PRIORITY, width=90),
            Column("title", "Recommendation"),
            Column("service", "Service", width=110),
            Column("Value #A", "Expected gain", unit="percentunit", width=120),
        ],
        sort="Expected gain",
    )


def _firing_now() -> AnyPanel:
    return rows(
        About(
            "Firing alerts by severity",
            "Good: none. Critical ones come first: they have already paged someone. Each alert's runbook says "
            "what to do.",
            "none",
            "No alert is firing.",
        ),
        [
            Query(
                FIRING_ONCE,
                instant=True,
            )
        ],
        [
            Column("severity", "Severity", words=SEVERITY, width=90),
            Column("alertname", "Alert"),
            Column("service", "Service", width=140),
        ],
    )


def _moment(metric: str, what: str, label: str = "service") -> str:
    """When something last happened to each service; `what` says it, `$1` is the value of the label."""
    by = "service" if label == "service" else f"service, {label}"
    return f'label_replace(max by ({by}) ({metric}{SERVICE}), "what", "{what}", "{label}", "(.*)")'


CHANGES = (
    _moment("perfloop_change_point_timestamp_seconds", "$1", "signal"),
    _moment("process_start_time_seconds", "process started"),
    _moment("prometheus_config_last_reload_success_timestamp_seconds", "configuration and rules reloaded"),
    _moment("alertmanager_config_last_reload_success_timestamp_seconds", "configuration reloaded"),
)


def _recent_changes(limits: Limits) -> AnyPanel:
    return rows(
        About(
            "Recent changes",
            "Signals whose level changed, processes that started (a release, a crash, a load test), "
            "configurations that were loaded. A change just before a problem is the first suspect.",
            "none",
            "No recent change: no start, no reload, no signal whose level changed.",
        ),
        [Query(f"topk(12, {' or '.join(CHANGES)}) * 1000", instant=True)],
        [
            Column("service", "Service", width=140),
            Column("what", "Change", words=name_signals(limits.by_route(), after=": level changed")),
            Column("Value #A", "When", unit="dateTimeFromNow", width=160),
        ],
        sort="When",
    )


def _traffic() -> AnyPanel:
    return lines(
        About(
            "Requests and failed requests",
            "Good: failures stay at zero. Failures that rise with the traffic suggest a limit; without more "
            "traffic, a fault.",
            "reqps",
            "No HTTP requests in this time range.",
        ),
        [
            Query(f"sum(service:http_server_requests:rate1m{SERVICE})", "requests", colours.TRAFFIC),
            Query(
                f"sum(service:http_server_requests:rate1m{SERVICE} * service:http_server_errors:ratio_rate1m{SERVICE})",
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
            "No HTTP requests in this time range.",
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
        related=("service", "system", "database-cache", "recommendations", "alerts"),
        variables=(choice("service", "Service", "service:http_server_requests:rate1m"),),
        rows=(
            Row(
                5,
                evenly(
                    _health_now(), _budget_left(), _firing(), _response_now(limits), _errors_now(limits), _traffic_now()
                ),
            ),
            Row(7, [(10, _penalties(limits)), (14, _top_recommendations())]),
            Row(7, evenly(_traffic(), _latency(limits), _machines(limits))),
            Row(7, evenly(_firing_now(), _recent_changes(limits))),
        ),
    )
