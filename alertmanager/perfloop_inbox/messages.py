"""What the inbox stores: messages, newest first, within fixed limits of number and bytes."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_inbox.store import Statement, Store

Channel = Literal["slack", "email", "pagerduty"]
Status = Literal["firing", "resolved", "acknowledged", "unknown"]

CHANNELS: tuple[Channel, ...] = ("slack", "email", "pagerduty")
STATUSES: tuple[Status, ...] = ("firing", "resolved", "acknowledged", "unknown")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a notification contains, whatever its channel; a missing fact is empty."""

    alertname: str = ""
    severity: str = ""
    status: Status = "unknown"
    service: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification that its channel accepted."""

    channel: Channel
    facts: Facts
    text: str
    payload: dict[str, Any]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery as the inbox stores it."""

    id: int
    received_at: str
    delivery: Delivery

    def to_dict(self) -> dict[str, Any]:
        """Return the message as the JSON API shows it."""
        facts = self.delivery.facts
        return {
            "id": self.id,
            "channel": self.delivery.channel,
            "received_at": self.received_at,
            "status": facts.status,
            "severity": facts.severity,
            "alertname": facts.alertname,
            "text": self.delivery.text,
            "payload": self.delivery.payload,
        }

    def to_document(self) -> str:
        """Return what is written to the disk."""
        return json.dumps({**self.to_dict(), "size_bytes": self.delivery.size_bytes})

    @staticmethod
    def from_document(document: str) -> Message:
        """Return a message as it was written.

        Raises:
            ValueError: it is not of this form.
            KeyError: the same.
        """
        stored = json.loads(document)
        facts = Facts(stored["alertname"], stored["severity"], stored["status"])
        delivery = Delivery(stored["channel"], facts, stored["text"], stored["payload"], stored["size_bytes"])
        return Message(stored["id"], stored["received_at"], delivery)


@dataclass(frozen=True, slots=True)
class Query:
    """Filters of messages; None matches any value."""

    channel: str | None = None
    status: str | None = None
    alertname: str | None = None
    severity: str | None = None

    def matches(self, delivery: Delivery) -> bool:
        """Return whether a delivery matches every given filter."""
        facts = delivery.facts
        wanted = (self.channel, self.status, self.alertname, self.severity)
        actual = (delivery.channel, facts.status, facts.alertname, facts.severity)
        return all(want is None or want == have for want, have in zip(wanted, actual, strict=True))


class Mailbox:
    """Messages in order of arrival; the oldest are dropped when there are too many or they take too much memory.

    Args:
        max_messages: how many are stored at most.
        max_bytes: how much they may take.
        store: where they are written, so that a restart finds them.
    """

    def __init__(self, max_messages: int = 1000, max_bytes: int = 32 * 1024 * 1024, store: Store | None = None) -> None:
        self._messages: deque[Message] = deque()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._store = store
        self._last_id = 0
        self.size_bytes = 0
        if store is not None:
            self._load(store)

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, delivery: Delivery, received_at: str) -> Message:
        """Store a delivery and drop the oldest messages where a limit is exceeded."""
        self._last_id += 1
        message = Message(self._last_id, received_at, delivery)
        self._messages.append(message)
        self.size_bytes += delivery.size_bytes
        dropped = self._drop_oldest()
        self._write([_insertion(message), *dropped])
        return message

    def find(self, query: Query, limit: int) -> Iterable[Message]:
        """Return the newest messages that match, newest first."""
        found = (message for message in reversed(self._messages) if query.matches(message.delivery))
        return [message for message, _ in zip(found, range(limit), strict=False)]

    def clear(self) -> int:
        """Delete all messages and return how many there were."""
        count = len(self._messages)
        self._messages.clear()
        self.size_bytes = 0
        self._write([("DELETE FROM messages", ())])
        return count

    def statements(self) -> list[Statement]:
        """Return what writes every message to an empty file."""
        return [_insertion(message) for message in self._messages]

    def _drop_oldest(self) -> list[Statement]:
        dropped = []
        # The newest always stays, however large: a channel bounds the size of one message.
        while len(self._messages) > self._max_messages or (self.size_bytes > self._max_bytes and len(self) > 1):
            oldest = self._messages.popleft()
            self.size_bytes -= oldest.delivery.size_bytes
            dropped.append(("DELETE FROM messages WHERE id = ?", (oldest.id,)))
        return dropped

    def _write(self, statements: list[Statement]) -> None:
        if self._store is not None:
            self._store.write(statements)

    def _load(self, store: Store) -> None:
        for (document,) in store.read("SELECT document FROM messages ORDER BY id"):
            try:
                message = Message.from_document(document)
            except (ValueError, KeyError, TypeError):
                continue  # of another version
            self._messages.append(message)
            self.size_bytes += message.delivery.size_bytes
        used = store.read("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
        # The id of a message that was deleted is not given again.
        self._last_id = max([*(seq for (seq,) in used), *(message.id for message in self._messages)], default=0)
        self._drop_oldest()


def _insertion(message: Message) -> Statement:
    return ("INSERT OR REPLACE INTO messages (id, document) VALUES (?, ?)", (message.id, message.to_document()))
