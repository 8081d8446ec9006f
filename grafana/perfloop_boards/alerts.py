"""The alerts board: what is firing, what fired before, and which notifications were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import FIRST_IS_BAD, FIRST_WARNS, Limit, seconds
from perfloop_boards.panels import About, figure, lines, number, stacked, timeline
from perfloop_boards.queries import FIRING_ALERTS, Query, or_zero, worst_firing
from perfloop_boards.tables import Column, rows
from perfloop_boards.words import FIRING, SEVERITY

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

ALERTNAME = 'alertname=~"$alertname"'
QUIET = "No alert fired in this time range."
NO_MANAGER = "Alertmanager is not scraped: see the Monitoring stack board."


def _severity(word: str) -> str:
    return f'ALERTS{{alertstate="firing", severity="{word}", {ALERTNAME}}}'


def _critical_now() -> AnyPanel:
    return number(
        About(
            "Critical", "Good: 0. Someone was paged for each and should be working on it.", "none", "none", decimals=0
        ),
        Query(or_zero(f"count({_severity('critical')})")),
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
        ),
        Query(or_zero(f"count({_severity('warning')})")),
        FIRST_WARNS,
    )


def _pending_now() -> AnyPanel:
    return figure(
        About("Pending", "Condition met, waiting for its `for` duration.", "none", "none", decimals=0),
        Query(or_zero(f'count(ALERTS{{alertstate="pending", {ALERTNAME}}})')),
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
        ),
        Query('sum(alertmanager_silences{state="active"})'),
        colours.TRAFFIC,
    )


def _undelivered_now() -> AnyPanel:
    return number(
        About(
            "Not delivered",
            "Failed notifications in 1 h. Good: 0. The channel is shown below; `perfloop doctor` tests them all.",
            "none",
            "none sent",
            decimals=0,
        ),
        Query("sum(increase(alertmanager_notifications_failed_total[1h]))"),
        FIRST_IS_BAD,
    )


def _heartbeat_now(limits: Limits) -> AnyPanel:
    heartbeat = limits.alert("HeartbeatMissing")
    return number(
        About(
            "Last heartbeat",
            "Age of the last heartbeat: the watchdog alert always fires and is sent every minute. Good: under "
            f"{seconds(heartbeat.last)}. Older: alerts do not arrive.",
            "s",
            "no heartbeat",
            decimals=0,
        ),
        Query("time() - max(inbox_last_heartbeat_timestamp_seconds > 0)"),
        heartbeat,
    )


def _now() -> AnyPanel:
    return rows(
        About(
            "Firing alerts",
            "Good: none. Critical ones come first. The runbook of each alert says what to check and what to do.",
            "none",
            "No alert is firing.",
        ),
        [Query(worst_firing(f", {ALERTNAME}", "alertname", "service", "instance"), instant=True)],
        [
            Column("severity", "Severity", words=SEVERITY, width=100),
            Column("alertname", "Alert"),
            Column("service", "Service", width=150),
            Column("instance", "Instance", width=170),
        ],
    )


def _since() -> AnyPanel:
    return rows(
        About(
            "Duration of firing alerts",
            "Longest first. An alert that fires for days is not worth alerting on, or nobody fixes its cause.",
            "none",
            "No alert is firing.",
        ),
        [
            Query(
                "time() - min by (alertname, service)"
                f" (ALERTS_FOR_STATE{{{ALERTNAME}}} and on (alertname, service) {FIRING_ALERTS})",
                instant=True,
            )
        ],
        [
            Column("alertname", "Alert"),
            Column("service", "Service", width=150),
            Column("Value #A", "Active for", unit="s", width=120),
        ],
        sort="Active for",
    )


def _history() -> AnyPanel:
    return timeline(
        About(
            "Alert history",
            "Orange: warning; red: critical. Many short stripes: the limit or its `for` duration is too tight.",
            "none",
            QUIET,
        ),
        Query(
            f"max by (alertname, service) ({_severity('critical')}) * 2"
            f" or max by (alertname, service) ({_severity('warning')})",
            "{{alertname}} · {{service}}",
        ),
        FIRING,
    )


def _sent() -> AnyPanel:
    return lines(
        About(
            "Notifications sent by channel",
            "In five minutes. Good: none while nothing fires, except the webhook's heartbeat, one per minute.",
            "none",
            NO_MANAGER,
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
        ),
        [Query("sum by (integration) (increase(alertmanager_notifications_failed_total[5m])) > 0", "{{integration}}")],
        FIRST_WARNS,
    )


def _delay() -> AnyPanel:
    return lines(
        About(
            "Delivery time",
            "Mean time per notification. Good: under 1 s. Above 5 s, the receiver is slow, and other "
            "notifications wait.",
            "s",
            "No notification was sent in this time range.",
        ),
        [
            Query(
                "sum by (integration) (rate(alertmanager_notification_latency_seconds_sum[5m]))"
                " / (sum by (integration) (rate(alertmanager_notification_latency_seconds_count[5m])) > 0)",
                "{{integration}}",
            )
        ],
        Limit(warning=5),
    )


def _arrived() -> AnyPanel:
    return stacked(
        About(
            "Messages in the local inbox",
            "In five minutes, by channel: what people would have received. Empty once real secrets are set.",
            "none",
            "The inbox is not scraped, or real channels are configured.",
        ),
        [Query("sum by (channel) (increase(inbox_messages_total[5m]))", "{{channel}}")],
        known=colours.CHANNELS,
    )


def _states() -> AnyPanel:
    return stacked(
        About(
            "Alerts in Alertmanager",
            "Active: notified. Suppressed: silenced, or inhibited by a critical alert. Good: few.",
            "none",
            NO_MANAGER,
        ),
        [
            Query('sum(alertmanager_alerts{state="active"})', "active", colours.TRAFFIC),
            Query('sum(alertmanager_alerts{state="suppressed"})', "suppressed", colours.OTHER),
        ],
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
            Row(8, [(14, _now()), (10, _since())]),
            Row(8, [(24, _history())]),
            Row(7, evenly(_sent(), _failed(), _delay(), _arrived())),
            Row(6, [(24, _states())]),
        ),
    )
