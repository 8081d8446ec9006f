"""The alerts board: what is firing, what fired before, and which notifications were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.alerts import FIRING_ALERTS
from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import FIRST_IS_BAD, FIRST_WARNS, Limit, seconds
from perfloop_boards.links import CLICKED, Link, of_cell, of_label, to_board, to_runbook, to_silence
from perfloop_boards.panels import About, figure, lines, number, stacked, timeline
from perfloop_boards.queries import ALERT_LABELS, Query, firing_by_severity, or_zero, worst_firing
from perfloop_boards.tables import Column, rows
from perfloop_boards.watches import component
from perfloop_boards.words import FIRING, SEVERITY

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

ALERTNAME = 'alertname=~"$alertname"'
CHOSEN = firing_by_severity(f", {ALERTNAME}", *ALERT_LABELS)
BY = ", ".join(ALERT_LABELS)
QUIET = "No alert fired in this time range."
NO_MANAGER = "Alertmanager is not scraped: see the Monitoring stack board."
ALERTMANAGER, INBOX = component("alertmanager"), component("inbox")
TO_STACK = to_board("Open the Monitoring stack board", "stack")
EVERY_ALERT = Link("List every alert and silence", "${inbox_url}/alerts", new_tab=True)
SILENCE = to_silence(alertname=of_cell("Alert"), service=of_cell("Service"))
BEFORE_SECONDS = 1800


# The counts of alerts have no watch: while Prometheus, which evaluates the alerts, does not answer, neither does its
# ALERTS, and Grafana shows the error in the panel.
def _critical_now() -> AnyPanel:
    return number(
        About(
            "Critical",
            "Good: 0. Someone was paged for each and should be working on it.",
            "none",
            "none",
            decimals=0,
            links=(EVERY_ALERT,),
        ),
        Query(or_zero(f"count({CHOSEN['critical']})")),
        FIRST_IS_BAD,
    )


def _warning_now() -> AnyPanel:
    return number(
        About(
            "Warnings",
            "Good: 0. They were sent to the channel. Read each today: a warning that nobody reads is noise.",
            "none",
            "none",
            decimals=0,
            links=(EVERY_ALERT,),
        ),
        Query(or_zero(f"count({CHOSEN['warning']})")),
        FIRST_WARNS,
    )


def _pending_now() -> AnyPanel:
    pending = f'max by ({BY}) (ALERTS{{alertstate="pending", severity!~"none|info", {ALERTNAME}}})'
    return figure(
        About(
            "Pending",
            "Condition met, waiting for its `for` duration. One that fires as a warning already is not counted again.",
            "none",
            "none",
            decimals=0,
            links=(Link("Open Prometheus", "${prometheus_url}/", new_tab=True),),
        ),
        Query(or_zero(f"count({pending} unless on ({BY}) ({worst_firing(f', {ALERTNAME}', *ALERT_LABELS)}))")),
        colours.TRAFFIC,
    )


def _silenced_now() -> AnyPanel:
    return figure(
        About(
            "Silenced",
            "Active silences. A silence that outlives its reason hides the next fault: give each an end.",
            "none",
            "none",
            decimals=0,
            links=(Link("List and end silences", "${inbox_url}/silences", new_tab=True),),
        ),
        Query('sum(alertmanager_silences{state="active"})'),
        colours.TRAFFIC,
        watch=ALERTMANAGER,
    )


def _undelivered_now() -> AnyPanel:
    return number(
        About(
            "Not delivered",
            "Failed notifications in 1 h. Good: 0. The channel is shown below; `perfloop doctor` tests them all.",
            "none",
            "none sent",
            decimals=0,
            links=(to_runbook("AlertmanagerNotDelivering"), TO_STACK),
        ),
        Query("sum(increase(alertmanager_notifications_failed_total[1h]))"),
        FIRST_IS_BAD,
        watch=ALERTMANAGER,
    )


def _heartbeat_now(limits: Limits) -> AnyPanel:
    heartbeat = limits.alert("HeartbeatMissing")
    return number(
        About(
            "Last heartbeat",
            "Age of the last heartbeat: the watchdog alert always fires and is sent every 30 seconds. Good: under "
            f"{seconds(heartbeat.last)}. Older: alerts do not arrive.",
            "s",
            "no heartbeat",
            decimals=1,
            links=(to_runbook("HeartbeatMissing"), Link("Open the inbox", "${inbox_url}", new_tab=True)),
        ),
        Query("time() - max(inbox_last_heartbeat_timestamp_seconds > 0)"),
        heartbeat,
        watch=INBOX,
    )


def _written() -> str:
    """The value of each firing alert with its unit, as a label: no table has a unit for each of its rows."""

    def values(unit: str) -> str:
        return f'max by ({BY}) (service:alert_value:last{{unit="{unit}", {ALERTNAME}}})'

    forms = (
        (f"round({values('seconds')} < 1, 0.001) * 1000", " ms"),
        (f"round({values('seconds')} >= 1 < 120, 0.1)", " s"),
        (f"round(({values('seconds')} >= 120) / 60)", " min"),
        (f"round({values('ratio')} * 100, 0.1)", " %"),
        (f"round({values('bytes_per_second')} / 1e6, 0.1)", " MB/s"),
        (f"round({values('number')}, 0.01)", ""),
    )
    return " or ".join(
        f'label_replace(count_values by ({BY}) ("value", {figure}), "value", "$1{unit}", "value", "(.*)")'
        for figure, unit in forms
    )


def _with(labels: str, known: str, *extra: str) -> str:
    """Return what gives series further labels, those of a series of 1 with the same `labels`, if there is one."""
    anyway = f"max by ({labels}) ({FIRING_ALERTS})"
    return f" * on ({labels}) group_left ({', '.join(extra)}) ({known} or on ({labels}) {anyway})"


def _firing() -> str:
    """Return the query of the table: since when each alert fires, in milliseconds.

    Its labels say how bad it is (value), what about (summary), and where its panel is (dashboard, from).
    """
    # An alert that fired within the last evaluation, or a Prometheus without our rules, has the time of its condition.
    since = " or ".join(
        f"min by ({BY}, severity) ({series}{{{ALERTNAME}}})"
        for series in ("service:alert_firing_since:timestamp_seconds", "ALERTS_FOR_STATE")
    )
    begins = f'count_values by ({BY}) ("from", round((min by ({BY}) ({since}) - {BEFORE_SECONDS}) * 1000))'
    return (
        f"({worst_firing(f', {ALERTNAME}', *ALERT_LABELS)}) * on ({BY}, severity) ({since}) * 1000"
        f"{_with(BY, begins, 'from')}"
        f"{_with('alertname', 'service:alert:info', 'summary', 'dashboard')}"
        f"{_with(BY, _written(), 'value')}"
    )


def _now() -> AnyPanel:
    at_that_time = f"${{__data.fields.dashboard}}var-service={of_cell('Service')}&from=${{__data.fields.from}}&to=now"
    return rows(
        About(
            "Firing alerts",
            "Good: none. Critical ones come first. The runbook of each alert says what to check and what to do.",
            "none",
            "No alert is firing.",
        ),
        [Query(_firing(), instant=True)],
        [
            Column("severity", "Severity", words=SEVERITY, width=90),
            Column(
                "alertname",
                "Alert",
                width=230,
                links=(
                    to_runbook(CLICKED),
                    Link("Open its panel at that time", at_that_time),
                    SILENCE,
                    to_board("Show its history alone", "alerts", alertname=CLICKED),
                ),
            ),
            Column(
                "service",
                "Service",
                width=120,
                links=(
                    to_board("Open the Service board", "service", service=CLICKED),
                    to_board("Open the Analysis board", "analysis", service=CLICKED),
                ),
            ),
            Column("value", "Value", width=100),
            Column("Value #A", "Since", unit="dateTimeFromNow", width=140),
            Column("summary", "Summary"),
            Column("dashboard", "dashboard", hidden=True),
            Column("from", "from", hidden=True),
        ],
        sort="Severity",
        rising=True,
    )


def _history() -> AnyPanel:
    return timeline(
        About(
            "Alert history",
            "Orange: warning; red: critical. Many short stripes: the limit or its `for` duration is too tight.",
            "none",
            QUIET,
            links=(
                to_runbook(of_label("alertname")),
                to_board("Show this alert alone", "alerts", alertname=of_label("alertname")),
                to_board("Open the Service board", "service", service=of_label("service")),
            ),
        ),
        Query(
            f"max by ({BY}) ({CHOSEN['critical']}) * 2 or max by ({BY}) ({CHOSEN['warning']})",
            "{{alertname}} · {{service}}",
        ),
        FIRING,
    )


def _sent() -> AnyPanel:
    return lines(
        About(
            "Notifications sent by channel",
            "In five minutes. Good: none while nothing fires, except by webhook: the heartbeat every 30 seconds, and a "
            "report of each notification to the inbox.",
            "none",
            NO_MANAGER,
            links=(Link("Open the inbox", "${inbox_url}", new_tab=True), TO_STACK),
        ),
        [Query("sum by (integration) (increase(alertmanager_notifications_total[5m])) > 0", "{{integration}}")],
        known=colours.CHANNELS,
    )


def _failed() -> AnyPanel:
    return lines(
        About(
            "Failed notifications by channel",
            "In five minutes. Good: 0. Check the secret and the address of that channel.",
            "none",
            "No notification failed.",
            links=(to_runbook("AlertmanagerNotDelivering"), TO_STACK),
        ),
        [Query("sum by (integration) (increase(alertmanager_notifications_failed_total[5m])) > 0", "{{integration}}")],
        FIRST_WARNS,
        known=colours.CHANNELS,
    )


def _delay() -> AnyPanel:
    return lines(
        About(
            "Delivery time",
            "Mean time per notification. Good: under 1 s. Above 5 s, the receiver is slow, and other "
            "notifications wait.",
            "s",
            "No notification was sent in this time range.",
            links=(TO_STACK,),
        ),
        [
            Query(
                "sum by (integration) (rate(alertmanager_notification_latency_seconds_sum[5m]))"
                " / (sum by (integration) (rate(alertmanager_notification_latency_seconds_count[5m])) > 0)",
                "{{integration}}",
            )
        ],
        Limit(warning=5),
        known=colours.CHANNELS,
    )


def _arrived() -> AnyPanel:
    return stacked(
        About(
            "Messages in the local inbox",
            "In five minutes, by channel: what people would have received. Empty once real secrets are set.",
            "none",
            "The inbox is not scraped, or real channels are configured.",
            links=(Link("Read them in the inbox", "${inbox_url}", new_tab=True),),
        ),
        [Query("sum by (channel) (increase(inbox_messages_total[5m]))", "{{channel}}")],
        known=colours.CHANNELS,
    )


def _suppressed() -> AnyPanel:
    return lines(
        About(
            "Silenced or inhibited alerts",
            "Alerts that fire and that nobody is notified of: silenced by a person, or inhibited because a more severe "
            "one fires. Good: few.",
            "none",
            NO_MANAGER,
            links=(EVERY_ALERT,),
        ),
        [Query('sum(alertmanager_alerts{state="suppressed"})', "silenced or inhibited", colours.OTHER)],
    )


def build(limits: Limits) -> Board:
    """The alerts board of a configuration."""
    return Board(
        uid="alerts",
        title="Alerts",
        question="Which alerts are firing, which fired before, and were people notified?",
        related=("overview", "slo", "stack"),
        variables=(choice("alertname", "Alert", 'ALERTS{severity!~"none|info"}'),),
        since="now-6h",
        rows=(
            Row(
                4,
                evenly(
                    _critical_now(),
                    _warning_now(),
                    _pending_now(),
                    _silenced_now(),
                    _undelivered_now(),
                    _heartbeat_now(limits),
                ),
            ),
            Row(9, [(24, _now())]),
            Row(8, [(24, _history())]),
            Row(7, evenly(_sent(), _failed(), _delay(), _arrived())),
            Row(6, [(24, _suppressed())]),
        ),
    )
