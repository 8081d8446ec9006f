"""The inbox itself: every channel delivers to it, the API and the page read from it."""

from __future__ import annotations

import json
import logging
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_inbox.deliveries import LocalChannels
from perfloop_inbox.faults import ChannelFaults
from perfloop_inbox.incidents import Incident
from perfloop_inbox.messages import Delivery, Mailbox
from perfloop_inbox.metrics import InboxMetrics
from perfloop_inbox.notices import Notices
from perfloop_inbox.reconciliation import Reconciliation
from perfloop_inbox.replies import Refusal, make_presentable
from perfloop_inbox.store import Store
from perfloop_inbox.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from perfloop_inbox.incidents import Post
    from perfloop_inbox.messages import Channel, Facts
    from perfloop_inbox.replies import Accepted
    from perfloop_inbox.store import Statement

# Alertmanager sends the Watchdog every 30 seconds: the last fifty minutes.
_MAX_HEARTBEATS = 100
# How often the time of the last look is written where nothing else is.
_LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(tz=UTC)


class Inbox:
    """Messages, incidents, heartbeats, faults and counters.

    Args:
        mailbox: the messages; one in memory and in the store by default.
        clock: the time in UTC.
        store: where messages and incidents are written; nowhere by default.
    """

    def __init__(
        self, mailbox: Mailbox | None = None, clock: Callable[[], datetime] = _now, store: Store | None = None
    ) -> None:
        self.store = store or Store(None)
        self.mailbox = Mailbox(store=self.store) if mailbox is None else mailbox
        self.heartbeats: deque[dict[str, Any]] = deque(maxlen=_MAX_HEARTBEATS)
        self.faults = ChannelFaults()
        self.notices = Notices()
        self._clock = clock
        self.reconciliation = Reconciliation(_load_incidents(self.store), Timing(), clock().timestamp())
        self.reconciliation.channels = _load_channels(self.store)
        self.looked_at = _load_looked_at(self.store)
        self.upstreams: dict[str, bool] = {}
        self.metrics = InboxMetrics(self.mailbox, self.reconciliation, self.store.health)
        self._written: dict[int, str] = {}
        self._channels_written = self.reconciliation.channels.to_text()
        self._look_written_at = 0.0
        self.store.set_snapshot(self._statements)

    def deliver(self, channel: Channel, reply: Accepted | Refusal, size_bytes: int) -> None:
        """Store what a channel accepted, count and log what it rejected; what is accepted is on the disk on return."""
        if isinstance(reply, Refusal):
            self.metrics.rejected.labels(channel).inc()
            log.warning(
                "rejected a notification", extra={"channel": channel, "status": reply.status, "body": reply.body}
            )
            self.reconciliation.doubt_channel(channel)
            return
        text, payload = make_presentable(reply.text), make_presentable(reply.payload)
        message = self.mailbox.add(Delivery(channel, reply.facts, text, payload, size_bytes), self._clock().isoformat())
        self.metrics.messages.labels(channel, reply.facts.status).inc()
        self._note_delivery(channel, reply.facts)
        facts = {"status": reply.facts.status, "alertname": reply.facts.alertname}
        log.info("received a notification", extra={"channel": channel, "id": message.id, **facts})

    def _note_delivery(self, channel: Channel, facts: Facts) -> None:
        if facts.status in ("firing", "resolved"):
            labels = {"alertname": facts.alertname, "service": facts.service}
            now = self._clock().timestamp()
            if self.reconciliation.note_delivery(channel, facts.status, labels, now):
                self.save_incidents(now, looked=False)

    def record_heartbeat(self, payload: Any) -> None:
        """Record a heartbeat."""
        now = self._clock()
        self.heartbeats.append({"received_at": now.isoformat(), "payload": make_presentable(payload)})
        self.metrics.heartbeats.inc()
        self.metrics.last_heartbeat.set(now.timestamp())
        self.reconciliation.hear(now.timestamp())

    def record_notification(self, report: Any) -> int:
        """Record what a receiver was sent, as Alertmanager's webhook reports it; return how many alerts it names."""
        now = self._clock().timestamp()
        self.metrics.reports.inc()
        receiver, alerts = str(report.get("receiver", "")), report.get("alerts")
        count = 0
        for alert in alerts if isinstance(alerts, list) else []:
            labels, status = (alert.get("labels"), alert.get("status")) if isinstance(alert, dict) else (None, None)
            if isinstance(labels, dict) and status in ("firing", "resolved"):
                named = {str(name): str(value) for name, value in labels.items()}
                self.reconciliation.note_notification(receiver, status, named, now)
                if status == "firing":
                    self.notices.note_report(receiver, named, now)
                count += 1
        self.save_incidents(now, looked=False)
        return count

    def record_event(self, event: Any) -> int:
        """Record an event of Alertmanager's recorder; return how many alerts it names as notified."""
        return self.notices.note_event(event, self._clock().timestamp())

    def note_upstreams(self, **answer: bool) -> None:
        """Note who answers."""
        for name, answers in answer.items():
            if self.upstreams.get(name, True) is not answers:
                log.log(
                    logging.INFO if answers else logging.WARNING,
                    f"{name} answers" if answers else f"{name} does not answer",
                )
            self.metrics.upstream.labels(name).set(answers)
        self.upstreams = answer

    def note_posts(self, posts: Iterable[Post], now: float) -> None:
        """Count and log what was posted to Alertmanager."""
        for post in posts:
            self.metrics.posts.labels(post.reason).inc()
            if post.reason != "restart":
                status = "resolved" if post.is_resolved(now) else "firing"
                names = {name: post.labels.get(name, "") for name in ("alertname", "service")}
                log.info("posted an alert", extra={**names, "status": status, "reason": post.reason})

    def note_look(self, now: float) -> None:
        """Note that the notifications were looked at."""
        self.metrics.looked.set(now)

    def shift(self, seconds: float) -> None:
        """Move what is remembered of time: the clock was set."""
        self.reconciliation.shift(seconds)
        self.looked_at += seconds if self.looked_at else 0.0

    def save_incidents(self, now: float, *, looked: bool) -> None:
        """Write the incidents that have changed, and from time to time when Prometheus was last looked at."""
        present = {number: json.dumps(one.to_dict()) for number, one in self.reconciliation.incidents.items()}
        changed = [_insertion(number, text) for number, text in present.items() if self._written.get(number) != text]
        gone = [("DELETE FROM incidents WHERE number = ?", (number,)) for number in self._written.keys() - present]
        self._written = present
        if looked:
            self.looked_at = now
        channels = self.reconciliation.channels.to_text()
        if changed or gone or channels != self._channels_written or now - self._look_written_at > _LOOK_SECONDS:
            self._look_written_at, self._channels_written = now, channels
            self.store.write([*changed, *gone, _fact("channels", channels), _fact("looked_at", repr(self.looked_at))])

    def _statements(self) -> list[Statement]:
        incidents = [_insertion(number, text) for number, text in self._written.items()]
        facts = [_fact("channels", self._channels_written), _fact("looked_at", repr(self.looked_at))]
        return [*self.mailbox.statements(), *incidents, *facts]


def _insertion(number: int, document: str) -> Statement:
    return ("INSERT OR REPLACE INTO incidents (number, document) VALUES (?, ?)", (number, document))


def _fact(name: str, value: str) -> Statement:
    return ("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))


def _load_incidents(store: Store) -> list[Incident]:
    incidents = []
    for (document,) in store.read("SELECT document FROM incidents ORDER BY number"):
        try:
            incidents.append(Incident.from_dict(json.loads(document)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("skipped an incident of another version", extra={"why": error})
    return incidents


def _load_channels(store: Store) -> LocalChannels:
    found = store.read("SELECT value FROM facts WHERE name = 'channels'")
    try:
        return LocalChannels.from_text(found[0][0]) if found else LocalChannels()
    except (ValueError, KeyError, TypeError):
        return LocalChannels()


def _load_looked_at(store: Store) -> float:
    found = store.read("SELECT value FROM facts WHERE name = 'looked_at'")
    try:
        return float(found[0][0]) if found else 0.0
    except ValueError:
        return 0.0
