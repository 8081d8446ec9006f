"""The overview: is the service all right, and if not, what to do first."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice
from perfloop_boards.findings import HEALTH, penalties
from perfloop_boards.limits import Limit, percent, plain, seconds, signal_goal, signal_limit
from perfloop_boards.panels import About, figure, lines, number
from perfloop_boards.percentiles import percentiles
from perfloop_boards.queries import Query, chosen, or_zero, selector, worst_firing
from perfloop_boards.recommended import OPEN, worth_of
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import PRIORITY, SEVERITY, name_signals

SERVICE = selector(*chosen("service"))
RESPONSE = signal_limit("api_response_time_p95")
FAILURES = signal_limit("error_ratio")
CPU = signal_limit("cpu_used_ratio")
MEMORY = signal_limit("memory_used_ratio")

HEALTH_NOW = number(
    About(
        "Health",
        f"100 less the points below. Good: from {plain(HEALTH.warning)} on. "
        f"Under {plain(HEALTH.critical)}, do the first thing of the list on the right.",
        "none",
        "no score yet",
        decimals=0,
    ),
    Query(f"min(perfloop_health_score{SERVICE})"),
    HEALTH,
)
BUDGET_LEFT = number(
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
FIRING = number(
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
RESPONSE_NOW = number(
    About(
        "Response, p95",
        f"19 of 20 requests are faster. Good: under {seconds(signal_goal('api_response_time_p95'))}. "
        f"Above {seconds(RESPONSE.warning)}, open the Service board.",
        "s",
        "no traffic",
    ),
    Query(f"max(service:http_server_request_duration_seconds:p95_rate1m{SERVICE})"),
    RESPONSE,
)
ERRORS_NOW = number(
    About(
        "Failed requests",
        f"Answers of 500 and above. Good: under {percent(signal_goal('error_ratio'))}. "
        f"Above {percent(FAILURES.warning)} callers notice: open the Service board.",
        "percentunit",
        "no traffic",
    ),
    Query(f"max(service:http_server_errors:ratio_rate1m{SERVICE})"),
    FAILURES,
)
TRAFFIC_NOW = figure(
    About(
        "Requests/s",
        "How much is asked of the services. A sudden fall is as bad as a peak: look upstream.",
        "reqps",
        "no traffic",
    ),
    Query(f"sum(service:http_server_requests:rate1m{SERVICE})"),
    colours.TRAFFIC,
)
PENALTIES = penalties(
    "Each signal's share of the lost points. Good: no bar. The longest bar is the place to look first."
)
TO_DO = rows(
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
FIRING_NOW = rows(
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


NEW_LEVEL = name_signals(after=": a new level")
CHANGES = (
    _moment("perfloop_change_point_timestamp_seconds", "$1", "signal"),
    _moment("process_start_time_seconds", "started"),
    _moment("prometheus_config_last_reload_success_timestamp_seconds", "new configuration or rules"),
    _moment("alertmanager_config_last_reload_success_timestamp_seconds", "new routes or receivers"),
)
CHANGED = rows(
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
        Column("what", "What", words=NEW_LEVEL),
        Column("Value #A", "When", unit="dateTimeFromNow", width=160),
    ],
    sort="When",
)
TRAFFIC = lines(
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
LATENCY = lines(
    About(
        "How long do requests take?",
        "Good: p95 under the dashed line. p99 far above p95: a few slow requests; all lines up: everything waits.",
        "s",
        "No HTTP request was seen in this time.",
    ),
    percentiles(lambda q: f"max(service:http_server_request_duration_seconds:p{q * 100:g}_rate1m{SERVICE})"),
    RESPONSE,
)
MACHINES = lines(
    About(
        "How full are the machines?",
        f"The fullest machine of each kind. Good: CPU under {percent(CPU.warning)}, "
        f"memory under {percent(MEMORY.warning)}. Above: open the System board.",
        "percentunit",
        "No machine is watched: is the exporter up?",
    ),
    [
        Query("max(instance:node_cpu_used:ratio_rate1m)", "CPU", colours.CPU),
        Query("max(instance:node_memory_used:ratio)", "memory", colours.MEMORY),
    ],
    CPU,
)

BOARD = Board(
    uid="overview",
    title="Overview",
    question="Is the service all right, and if not, what should be done first?",
    related=("service", "system", "database-cache", "recommendations", "alerts"),
    variables=(choice("service", "Service", "service:http_server_requests:rate1m"),),
    rows=(
        Row(5, [(4, panel) for panel in (HEALTH_NOW, BUDGET_LEFT, FIRING, RESPONSE_NOW, ERRORS_NOW, TRAFFIC_NOW)]),
        Row(7, [(10, PENALTIES), (14, TO_DO)]),
        Row(7, [(8, TRAFFIC), (8, LATENCY), (8, MACHINES)]),
        Row(7, [(12, FIRING_NOW), (12, CHANGED)]),
    ),
)
