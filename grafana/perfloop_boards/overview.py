"""The overview: is the service all right, and if not, what to do first."""

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
            "Health",
            f"100 less the points below. Good: from {plain(HEALTH.first)} on. "
            f"Under {plain(HEALTH.last)}, do the first thing of the list on the right.",
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
            "Error budget left",
            "Share of what the service goals allow to fail in 30 days, not yet used. Good: above 25 %. "
            "At 0 stop releases and mend what fails.",
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
            "Good: 0. Each is listed below with what it watches; the Alerts board has its history.",
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
            "Response, p95",
            f"19 of 20 requests are faster. Good: under {seconds(limits.goal('api_response_time_p95'))}. "
            f"Above {seconds(response.first)}, open the Service board.",
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
            f"Answers of 500 and above. Good: under {percent(limits.goal('error_ratio'))}. "
            f"Above {percent(failures.first)} callers notice: open the Service board.",
            "percentunit",
            "no traffic",
        ),
        Query(f"max(service:http_server_errors:ratio_rate1m{SERVICE})"),
        failures,
    )


def _traffic_now() -> AnyPanel:
    return figure(
        About(
            "Requests/s",
            "How much is asked of the services. A sudden fall is as bad as a peak: look upstream.",
            "reqps",
            "no traffic",
        ),
        Query(f"sum(service:http_server_requests:rate1m{SERVICE})"),
        colours.TRAFFIC,
    )


def _penalties(limits: Limits) -> AnyPanel:
    return penalties(
        "Each signal's share of the lost points. Good: no bar. The longest bar is the place to look first.",
        limits.by_route(),
    )


def _to_do() -> AnyPanel:
    return rows(
        About(
            "What should be done first?",
            "The recommendations with the highest expected gain. Accept one and mark it implemented: its gain is measured.",
            "none",
            "No recommendation is open: no bottleneck was found, or the analyzer is down.",
        ),
        [
            Query(
                f"topk(5, {worth_of(*chosen('service'), OPEN)})",
                instant=True,
            )
        ],
        [
            Column("priority", "Priority", words=PRIORITY, width=90),
            Column("title", "Do this"),
            Column("service", "Service", width=110),
            Column("Value #A", "Expected gain", unit="percentunit", width=120),
        ],
        sort="Expected gain",
    )


def _firing_now() -> AnyPanel:
    return rows(
        About(
            "Which alerts are firing?",
            "Good: none. Critical first: it has already paged. The runbook of each alert says what to do.",
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
    _moment("process_start_time_seconds", "started"),
    _moment("prometheus_config_last_reload_success_timestamp_seconds", "new configuration or rules"),
    _moment("alertmanager_config_last_reload_success_timestamp_seconds", "new routes or receivers"),
)


def _changed(limits: Limits) -> AnyPanel:
    return rows(
        About(
            "What changed?",
            "A signal left its old level, a part started (a release, a crash, a load test), a configuration was loaded. "
            "What lies just before the trouble is the first suspect.",
            "none",
            "Nothing has changed lately: no start, no new configuration, no signal at a new level.",
        ),
        [Query(f"topk(12, {' or '.join(CHANGES)}) * 1000", instant=True)],
        [
            Column("service", "Service", width=140),
            Column("what", "What", words=name_signals(limits.by_route(), after=": a new level")),
            Column("Value #A", "When", unit="dateTimeFromNow", width=160),
        ],
        sort="When",
    )


def _traffic() -> AnyPanel:
    return lines(
        About(
            "Requests and failures per second",
            "Good: failures lie on the ground. Failures that rise with the traffic mean a limit; without it, a fault.",
            "reqps",
            "No HTTP request was seen in this time.",
        ),
        [
            Query(f"sum(service:http_server_requests:rate1m{SERVICE})", "requests", colours.TRAFFIC),
            Query(
                f"sum(service:http_server_requests:rate1m{SERVICE} * service:http_server_errors:ratio_rate1m{SERVICE})",
                "failures",
                colours.ERRORS,
            ),
        ],
    )


def _latency(limits: Limits) -> AnyPanel:
    response = limits.signal("api_response_time_p95")
    return lines(
        About(
            "How long do requests take?",
            "Good: p95 under the dashed line. p99 far above p95: a few slow requests; all lines up: everything waits.",
            "s",
            "No HTTP request was seen in this time.",
        ),
        percentiles(lambda q: f"max(service:http_server_request_duration_seconds:p{q * 100:g}_rate1m{SERVICE})"),
        response,
    )


def _machines(limits: Limits) -> AnyPanel:
    cpu = limits.signal("cpu_used_ratio")
    memory = limits.signal("memory_used_ratio")
    return lines(
        About(
            "How full are the machines?",
            f"The fullest machine of each kind. Good: CPU under {percent(cpu.first)}, "
            f"memory under {percent(memory.first)}. Above: open the System board.",
            "percentunit",
            "No machine is watched: is the exporter up?",
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
        question="Is the service all right, and if not, what should be done first?",
        related=("service", "system", "database-cache", "recommendations", "alerts"),
        variables=(choice("service", "Service", "service:http_server_requests:rate1m"),),
        rows=(
            Row(
                5,
                evenly(
                    _health_now(), _budget_left(), _firing(), _response_now(limits), _errors_now(limits), _traffic_now()
                ),
            ),
            Row(7, [(10, _penalties(limits)), (14, _to_do())]),
            Row(7, evenly(_traffic(), _latency(limits), _machines(limits))),
            Row(7, evenly(_firing_now(), _changed(limits))),
        ),
    )
