"""The inbox itself: what every channel delivers to and every page reads from."""

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

_MAX_HEARTBEATS = 100

log = logging.getLogger("inbox")


def _now() -> datetime:
    return datetime.now(tz=UTC)


class Inbox:
    """Messages, heartbeats, faults and counters in one place."""

    def __init__(self, mailbox: Mailbox | None = None, clock: Callable[[], datetime] = _now) -> None:
        self.mailbox = Mailbox() if mailbox is None else mailbox
        self.heartbeats: deque[dict[str, Any]] = deque(maxlen=_MAX_HEARTBEATS)
        self.faults = ChannelFaults()
        self.metrics = InboxMetrics(self.mailbox)
        self._clock = clock

    def take(self, channel: Channel, reply: Accepted | Refusal, size_bytes: int) -> None:
        """Keep what a channel accepted and count what it refused."""
        if isinstance(reply, Refusal):
            self.metrics.rejected.labels(channel).inc()
            log.warning("%s refused with %s: %s", channel, reply.status, reply.body)
            return
        delivery = Delivery(channel, reply.facts, reply.text, reply.payload, size_bytes)
        message = self.mailbox.add(delivery, self._clock().isoformat())
        self.metrics.messages.labels(channel, reply.facts.status).inc()
        log.info("%s message %d: %s %s", channel, message.id, reply.facts.status, reply.facts.alertname or "(no alert)")

    def beat(self, payload: Any) -> None:
        """Note a heartbeat."""
        now = self._clock()
        self.heartbeats.append({"received_at": now.isoformat(), "payload": payload})
        self.metrics.heartbeats.inc()
        self.metrics.last_heartbeat.set(now.timestamp())
