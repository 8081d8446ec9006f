"""The alerts board: what fires now, what fired before, and who was told of it."""

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
QUIET = "No alert fired in this time."
NO_MANAGER = "Alertmanager is not scraped: see the Stack board."


def _severity(word: str) -> str:
    return f'ALERTS{{alertstate="firing", severity="{word}", {ALERTNAME}}}'


def _critical_now() -> AnyPanel:
    return number(
        About("Critical", "Good: 0. They have paged: someone is on it, or should be.", "none", "none", decimals=0),
        Query(or_zero(f"count({_severity('critical')})")),
        FIRST_IS_BAD,
    )


def _warning_now() -> AnyPanel:
    return number(
        About(
            "Warnings",
            "Good: 0. They went to the channel. Read each today: a warning that is never read is noise.",
            "none",
            "none",
            decimals=0,
        ),
        Query(or_zero(f"count({_severity('warning')})")),
        FIRST_WARNS,
    )


def _pending_now() -> AnyPanel:
    return figure(
        About("Pending", "True, but not yet for long enough. They fire when they stay.", "none", "none", decimals=0),
        Query(or_zero(f'count(ALERTS{{alertstate="pending", {ALERTNAME}}})')),
        colours.TRAFFIC,
    )


def _silenced_now() -> AnyPanel:
    return figure(
        About(
            "Silenced",
            "Known and put aside. A silence that outlives its reason hides the next fault: give each an end.",
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
            "In 1 h. Good: 0. Each is a person not told. Which channel, below; `perfloop doctor` tries them all.",
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
            "The watchdog alert always fires and is sent each minute. "
            f"Good: under {seconds(heartbeat.last)}. Older: nobody would be told.",
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
            "What fires now?",
            "Good: nothing. Critical first; the runbook of each says what to look at and what to do.",
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
            "Since when?",
            "The longest first. An alert that fires for days is either not worth an alert or not being mended.",
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
            Column("Value #A", "True for", unit="s", width=120),
        ],
        sort="True for",
    )


def _history() -> AnyPanel:
    return timeline(
        About(
            "What fired before?",
            "Orange: warning, red: critical. Short stripes over and over: the limit or its `for` is too tight.",
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


def _told() -> AnyPanel:
    return lines(
        About(
            "Who was told?",
            "Notifications sent in five minutes, by channel. Good: none while nothing fires, but for the webhook's "
            "heartbeat, one a minute.",
            "none",
            NO_MANAGER,
        ),
        [Query("sum by (integration) (increase(alertmanager_notifications_total[5m])) > 0", "{{integration}}")],
        known=colours.CHANNELS,
    )


def _failed() -> AnyPanel:
    return lines(
        About(
            "Which channel fails?",
            "Notifications that could not be delivered in five minutes. Good: 0. See that channel's secret and address.",
            "none",
            "No notification failed.",
        ),
        [Query("sum by (integration) (increase(alertmanager_notifications_failed_total[5m])) > 0", "{{integration}}")],
        FIRST_WARNS,
    )


def _delay() -> AnyPanel:
    return lines(
        About(
            "How long does delivery take?",
            "Mean time of one delivery. Good: under a second. Above five the receiver is slow, and others wait behind it.",
            "s",
            "No notification was sent in this time.",
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
            "What arrived in the local inbox?",
            "Messages in five minutes, by channel: what people would have got. Empty once real secrets are set.",
            "none",
            "The inbox is not scraped, or real channels are set.",
        ),
        [Query("sum by (channel) (increase(inbox_messages_total[5m]))", "{{channel}}")],
        known=colours.CHANNELS,
    )


def _states() -> AnyPanel:
    return stacked(
        About(
            "Alerts in Alertmanager",
            "Active: told. Suppressed: silenced, or covered by a critical one. Good: few.",
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
        question="What fires now, what fired before, and was someone told?",
        related=("overview", "stack"),
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
            Row(7, evenly(_told(), _failed(), _delay(), _arrived())),
            Row(6, [(24, _states())]),
        ),
    )
