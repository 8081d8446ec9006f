"""The inbox itself: every channel delivers to it, the API and the page read from it."""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_inbox.faults import ChannelFaults
from perfloop_inbox.messages import Delivery, Mailbox
from perfloop_inbox.metrics import InboxMetrics
from perfloop_inbox.replies import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_inbox.messages import Channel
    from perfloop_inbox.replies import Accepted

# Alertmanager sends the Watchdog every 30 seconds: the last fifty minutes.
_MAX_HEARTBEATS = 100

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(tz=UTC)


class Inbox:
    """Messages, heartbeats, faults and counters."""

    def __init__(self, mailbox: Mailbox | None = None, clock: Callable[[], datetime] = _now) -> None:
        self.mailbox = Mailbox() if mailbox is None else mailbox
        self.heartbeats: deque[dict[str, Any]] = deque(maxlen=_MAX_HEARTBEATS)
        self.faults = ChannelFaults()
        self.metrics = InboxMetrics(self.mailbox)
        self._clock = clock

    def deliver(self, channel: Channel, reply: Accepted | Refusal, size_bytes: int) -> None:
        """Store what a channel accepted, count and log what it rejected."""
        if isinstance(reply, Refusal):
            self.metrics.rejected.labels(channel).inc()
            log.warning(
                "rejected a notification", extra={"channel": channel, "status": reply.status, "body": reply.body}
            )
            return
        delivery = Delivery(channel, reply.facts, reply.text, reply.payload, size_bytes)
        message = self.mailbox.add(delivery, self._clock().isoformat())
        self.metrics.messages.labels(channel, reply.facts.status).inc()
        facts = {"status": reply.facts.status, "alertname": reply.facts.alertname}
        log.info("received a notification", extra={"channel": channel, "id": message.id, **facts})

    def record_heartbeat(self, payload: Any) -> None:
        """Record a heartbeat."""
        now = self._clock()
        self.heartbeats.append({"received_at": now.isoformat(), "payload": payload})
        self.metrics.heartbeats.inc()
        self.metrics.last_heartbeat.set(now.timestamp())
