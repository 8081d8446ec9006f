"""The inbox's own metrics: the only place of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, PlatformCollector, ProcessCollector

from perfloop_inbox.messages import CHANNELS, STATUSES

if TYPE_CHECKING:
    from perfloop_inbox.messages import Mailbox


class InboxMetrics:
    """Counters of what arrived, by channel; every series exists from the start."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.registry = CollectorRegistry()
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
        # A series that begins at 0 lets rate() count its first event.
        for channel in CHANNELS:
            self.rejected.labels(channel)
            for status in STATUSES:
                self.messages.labels(channel, status)
