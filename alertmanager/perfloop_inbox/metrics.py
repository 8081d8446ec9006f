"""The inbox's own metrics: the only place of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector

from perfloop_inbox.messages import CHANNELS, STATUSES

if TYPE_CHECKING:
    from perfloop_base.state import StateHealth
    from perfloop_inbox.messages import Mailbox
    from perfloop_inbox.reconciliation import Reconciliation

# Why an alert is posted to Alertmanager once more (see reconciliation.py).
REASONS = ("missing", "hold", "stale", "resolved", "replay", "unconfirmed", "restart")
UPSTREAMS = ("prometheus", "alertmanager")


class InboxMetrics:
    """Counters of what arrived, by channel; every series exists from the start."""

    def __init__(self, mailbox: Mailbox, reconciliation: Reconciliation, health: StateHealth) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(health)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.messages = Counter("inbox_messages", "Notifications taken.", ["channel", "status"], registry=self.registry)
        self.rejected = Counter("inbox_rejected", "Notifications refused.", ["channel"], registry=self.registry)
        self.heartbeats = Counter("inbox_heartbeats", "Heartbeats received.", registry=self.registry)
        self.last_heartbeat = Gauge(
            "inbox_last_heartbeat_timestamp_seconds",
            "When the last heartbeat came; 0 before the first.",
            registry=self.registry,
        )
        held = Gauge("inbox_messages_held", "Messages in memory.", registry=self.registry)
        held.set_function(lambda: len(mailbox))
        size = Gauge("inbox_messages_held_bytes", "Size of the messages in memory.", registry=self.registry)
        size.set_function(lambda: mailbox.size_bytes)
        self._add_reconciliation(reconciliation)
        # A series that begins at 0 lets rate() count its first event.
        for channel in CHANNELS:
            self.rejected.labels(channel)
            for status in STATUSES:
                self.messages.labels(channel, status)

    def _add_reconciliation(self, reconciliation: Reconciliation) -> None:
        registry = self.registry
        firing = Gauge("perfloop_notifications_incidents", "Incidents that fire, as followed here.", registry=registry)
        firing.set_function(reconciliation.count_open)
        unconfirmed = Gauge(
            "perfloop_notifications_unconfirmed",
            "Incidents with a notification that is due and was not confirmed.",
            registry=registry,
        )
        unconfirmed.set_function(reconciliation.count_unconfirmed)
        self.posts = Counter(
            "perfloop_notifications_posts", "Alerts posted to Alertmanager once more.", ["reason"], registry=registry
        )
        self.reports = Counter(
            "perfloop_notifications_reports", "Reports of Alertmanager on what a receiver was sent.", registry=registry
        )
        self.upstream = Gauge(
            "perfloop_notifications_upstream_up",
            "Whether it answered the last time (1) or not (0).",
            ["upstream"],
            registry=registry,
        )
        self.looked = Gauge(
            "perfloop_notifications_last_look_timestamp_seconds",
            "When the notifications were last compared with what fires; 0 before the first time.",
            registry=registry,
        )
        for reason in REASONS:
            self.posts.labels(reason)
