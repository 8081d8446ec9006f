"""Who was notified of which alert: what Alertmanager's event recorder says, and the reports of its receivers.

The recorder (0.33 and later, `--enable-feature=event-recorder`) names each channel that took a notification. A report
says that its receiver was sent the group; another channel of the same receiver may have refused it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfloop_inbox.incidents import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_inbox.incidents import Key

_MAX_ALERTS = 5000


@dataclass(frozen=True, slots=True)
class Sent:
    """A notification that was taken, in Unix seconds; `channel` is empty where only the receiver is known."""

    receiver: str
    channel: str
    at: float


@dataclass
class Notices:
    """The last notification about each alert, by receiver and channel."""

    _sent: OrderedDict[Key, dict[tuple[str, str], Sent]] = field(default_factory=OrderedDict)

    def note_report(self, receiver: str, labels: Mapping[str, str], at: float) -> None:
        """Note that a receiver reported a notification about an alert."""
        self._note(key_of(labels), Sent(receiver, "", at))

    def note_event(self, event: Any, at: float) -> int:
        """Note an event of the recorder; return how many alerts it names as sent.

        Args:
            event: the event, in the form of 0.33 and 0.34 (labels as a list of pairs) or of 0.35 (as a map).
            at: when it came.
        """
        data = event.get("data") if isinstance(event, dict) else None
        notification = data.get("notification") if isinstance(data, dict) else None
        if not isinstance(notification, dict):
            return 0
        receiver = _text(notification.get("groupInfo"), "receiverName")
        channel = _text(notification.get("integration"), "name")
        firing = {_identity(one) for one in _list(notification.get("firingAlerts"))}
        named = 0
        for alert in _list(notification.get("alerts")):
            labels = _read_labels(alert.get("details"))
            if labels and receiver and channel and _identity(alert) in firing:
                self._note(key_of(labels), Sent(receiver, channel, at))
                named += 1
        return named

    def find(self, labels: Mapping[str, str]) -> list[Sent]:
        """Return what was sent about an alert, as far as it is known."""
        return list(self._sent.get(key_of(labels), {}).values())

    def _note(self, key: Key, sent: Sent) -> None:
        known = self._sent.setdefault(key, {})
        known[sent.receiver, sent.channel] = sent
        self._sent.move_to_end(key)
        while len(self._sent) > _MAX_ALERTS:
            self._sent.popitem(last=False)


def _list(value: Any) -> Iterator[dict[str, Any]]:
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _text(value: Any, name: str) -> str:
    return str(value.get(name, "")) if isinstance(value, dict) else ""


def _identity(alert: Mapping[str, Any]) -> str:
    return str(alert.get("fingerprint") or alert.get("hash") or "")


def _read_labels(details: Any) -> dict[str, str]:
    labels = details.get("labels") if isinstance(details, dict) else None
    if isinstance(labels, dict) and isinstance(labels.get("labels"), list):
        return {_text(pair, "key"): _text(pair, "value") for pair in _list(labels["labels"])}
    return {str(name): str(value) for name, value in labels.items()} if isinstance(labels, dict) else {}
