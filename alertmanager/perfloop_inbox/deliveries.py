"""Which channels end in the mailbox, and whose alerts a message there is about.

Alertmanager reports that a receiver was sent a group, not that each of its channels took the message: killed while it
tries one of them again, it forgets that message. Where the channel is the mailbox itself, the message is the proof.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfloop_inbox.incidents import Incident, Notified

# One name for each of the channels, beside those of Alertmanager's receivers.
_SUFFIX = " (mailbox)"
# Alertmanager may notify before the alert is seen here, by so many seconds.
_EARLY_SECONDS = 10.0
_MAX_EARLY = 1000
# Until Alertmanager was first heard of.
_ROUND_SECONDS = 30.0

Group = tuple[str, str]


def _plain(text: str) -> str:
    """Return what is left of a text on every channel: letters and digits."""
    return "".join(filter(str.isalnum, text))


def group_of(labels: Mapping[str, str]) -> Group:
    """Return the group of an alert, as the messages have it."""
    return _plain(labels.get("alertname", "")), _plain(labels.get("service", ""))


def is_local(receiver: str) -> bool:
    """Return whether a name is that of a channel that ends in the mailbox."""
    return receiver.endswith(_SUFFIX)


@dataclass
class LocalChannels:
    """The channels that end in the mailbox: those that brought a message under the present configuration.

    Attributes:
        config: identifies Alertmanager's configuration.
        receivers: the one receiver of each channel; a channel of several receivers is not among them.
        proven: the channels that brought a message, and since when.
        round: Alertmanager sends nothing about a gap below so many seconds, its own waits.
    """

    config: str = ""
    receivers: dict[str, str] = field(default_factory=dict)
    proven: dict[str, float] = field(default_factory=dict)
    round: float = _ROUND_SECONDS
    _early: dict[Group, dict[str, Notified]] = field(default_factory=dict)

    def observe(self, config: str, receivers: Mapping[str, str], incidents: Iterable[Incident]) -> None:
        """Take in the configuration; under another one a channel may end elsewhere."""
        if config != self.config:
            if self.config:
                self.proven = {}
                _leave_out(incidents, _SUFFIX)
            self.config, self.receivers = config, dict(receivers)

    def note(self, channel: str, group: Group, last: Notified, incidents: Iterable[Incident]) -> None:
        """Note a message about a group.

        Args:
            channel: what brought it.
            group: whose it is.
            last: what it says of the group: firing while one of its alerts does.
            incidents: the oldest open incident of each alert of the group.
        """
        name, mine = self.name(channel), list(incidents)
        if name is None:
            return
        if not mine:
            self._early.setdefault(group, {})[name] = last
            if len(self._early) > _MAX_EARLY:
                del self._early[next(iter(self._early))]
            return
        self.proven.setdefault(channel, last.at)
        if len(mine) > 1:  # it may say of one that it fires and of another that it has ended
            for incident in mine:
                incident.grouped = True
            _leave_out(mine, _SUFFIX)
            return
        mine[0].note(name, last)

    def note_early(self, incident: Incident) -> None:
        """Note what came for a new incident before it was known."""
        for name, last in self._early.pop(group_of(incident.labels), {}).items():
            if last.at >= incident.starts_at - _EARLY_SECONDS:
                incident.note(name, last)

    def name(self, channel: str) -> str | None:
        """Return the name under which a message by this channel is noted; None where it proves nothing."""
        receiver = self.receivers.get(channel)
        return f"{receiver}{_SUFFIX}" if receiver else None

    def expected(self, incident: Incident, receivers: Iterable[str]) -> set[str]:
        """Return the names of the channels that must bring what these receivers are sent of an incident."""
        if incident.grouped:
            return set()
        wanted = set(receivers)
        return {
            f"{receiver}{_SUFFIX}"
            for channel, receiver in self.receivers.items()
            if receiver in wanted and incident.starts_at > self.proven.get(channel, math.inf)
        }

    def doubt(self, channel: str, incidents: Iterable[Incident]) -> None:
        """Expect nothing of a channel that refuses messages, until it brings one again: Alertmanager retries."""
        self.proven.pop(channel, None)
        name = self.name(channel)
        if name:
            _leave_out(incidents, name)

    def shift(self, seconds: float) -> None:
        """Move every time that is remembered: the clock was set."""
        self.proven = {channel: since + seconds for channel, since in self.proven.items()}

    def to_text(self) -> str:
        """Return what is stored."""
        stored = {"config": self.config, "receivers": self.receivers, "proven": self.proven, "round": self.round}
        return json.dumps(stored)

    @staticmethod
    def from_text(text: str) -> LocalChannels:
        """Return what was stored.

        Raises:
            ValueError: it is not of this form.
            KeyError: the same.
            TypeError: the same.
        """
        stored = json.loads(text)
        return LocalChannels(
            str(stored["config"]), dict(stored["receivers"]), dict(stored["proven"]), float(stored["round"])
        )


def _leave_out(incidents: Iterable[Incident], ending: str) -> None:
    for incident in incidents:
        incident.receivers = [name for name in incident.receivers if not name.endswith(ending)]
        incident.notified = {name: last for name, last in incident.notified.items() if not name.endswith(ending)}
