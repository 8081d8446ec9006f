"""What the reconciliation knows: incidents, what Prometheus and Alertmanager say of them, and what is posted.

An incident is one label set that fires, from the first time Prometheus says so until it no longer does. Times are Unix
seconds. A `run` identifies one process of Prometheus or Alertmanager: only a restart changes it, never a set clock.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The inbox's own alert, about a Prometheus that evaluates nothing.
SILENT_LABELS = {
    "alertname": "MonitoringSilent",
    "severity": "critical",
    "service": "prometheus",
    "component": "stack",
    "category": "stack",
    "owner": "platform",
}
SILENT_ANNOTATIONS = {
    "summary": "Prometheus evaluates no alerts",
    "resolved": "Prometheus evaluates its alerts again",
    "description": "Prometheus has not answered, or not evaluated its rules, for over a minute: nothing is watched.",
    "dashboard": "/d/stack",
}

Key = tuple[tuple[str, str], ...]
# firing: Prometheus says so, or said so last and cannot be asked now.
# clearing: it fires, but an end is posted first, so that a notification log that is out of date notifies again.
# ended: it no longer fires, and its end is being sent.
# replaying: it ended while Alertmanager could not know: posted as firing for a while, so that its end is sent after it.
# unconfirmed: it ended, and no attempt was confirmed; its end is still posted now and then.
# closed: everybody who was to be notified has been.
Phase = Literal["firing", "clearing", "ended", "replaying", "unconfirmed", "closed"]
NotificationStatus = Literal["firing", "resolved"]


def key_of(labels: Mapping[str, str]) -> Key:
    """Return the identity of an alert: its labels, in order."""
    return tuple(sorted(labels.items()))


@dataclass(slots=True)
class Notified:
    """The last notification of an incident that one receiver was sent, as Alertmanager reported it."""

    status: NotificationStatus
    at: float
    run: str


@dataclass(slots=True)
class Incident:
    """One incident, and how far its notifications have come.

    Attributes:
        number: its own number, in order of appearance.
        labels: the labels as Alertmanager gets them.
        annotations: the texts, rendered.
        generator_url: the link to the query.
        starts_at: when it was first seen firing.
        run: the Prometheus that said last that it fires.
        ended_at: when it was first seen not to fire; None while it fires.
        phase: what is being done about it.
        phase_since: since when.
        attempts: how often an end was replayed, or a page forced, without being confirmed.
        listed: the Alertmanager that last had it in its list; empty before the first.
        receivers: those that Alertmanager routes it to and that report their notifications here.
        suppressed: whether it was silenced or inhibited when Alertmanager last listed it.
        visible_since: since when the present Alertmanager lists it as active.
        notified: the last notification of each receiver.
        paged: the receivers that were sent its beginning.
        absent: whether Alertmanager did not list it at the last look.
        replayed: the Alertmanager to which it was last replayed.
        posted_at: when something about it was last posted.
        fired_at: when it was last known to fire.
        grouped: whether a message was about other alerts as well.
    """

    number: int
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str
    starts_at: float
    run: str = ""
    ended_at: float | None = None
    phase: Phase = "firing"
    phase_since: float = 0.0
    attempts: int = 0
    listed: str = ""
    receivers: list[str] = field(default_factory=list)
    suppressed: bool = False
    visible_since: float | None = None
    notified: dict[str, Notified] = field(default_factory=dict)
    paged: list[str] = field(default_factory=list)
    absent: bool = False
    replayed: str = ""
    posted_at: float = 0.0
    fired_at: float = 0.0
    grouped: bool = False

    @property
    def key(self) -> Key:
        """Its label set."""
        return key_of(self.labels)

    def enter(self, phase: Phase, now: float) -> None:
        """Begin another phase."""
        self.phase, self.phase_since, self.posted_at = phase, now, 0.0

    def note(self, receiver: str, last: Notified) -> None:
        """Note what a receiver was sent."""
        self.notified[receiver] = last
        if last.status == "firing":
            self.paged = sorted({*self.paged, receiver})

    def lacking(self, status: NotificationStatus, since: float = 0.0) -> list[str]:
        """Return the receivers whose last notification is not of this status, or came before `since`."""
        return [
            receiver
            for receiver in sorted({*self.receivers, *self.notified})
            if (last := self.notified.get(receiver)) is None or last.status != status or last.at < since
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored of it."""
        return asdict(self)

    @staticmethod
    def from_dict(stored: dict[str, Any]) -> Incident:
        """Return a stored incident.

        Raises:
            TypeError: it is not of this form.
            KeyError: the same.
        """
        notified = {name: Notified(**values) for name, values in stored["notified"].items()}
        return Incident(**{**stored, "notified": notified})


@dataclass(frozen=True, slots=True)
class PrometheusAlert:
    """An alert of a Prometheus; pending, or firing."""

    labels: dict[str, str]
    annotations: dict[str, str]
    firing: bool


@dataclass(frozen=True, slots=True)
class PrometheusView:
    """What a Prometheus that answers says.

    Attributes:
        run: its process.
        alerts: by label set, the external labels included.
        rules: how many seconds lie between evaluations of a rule, by its name; infinitely many where one of that name
            has not been evaluated, or not without an error. None where it was not asked.
        evaluated_at: when a group of rules was last evaluated; None where it was not asked, 0 where none has been.
        interval: the longest of all intervals.
        url: its address, for links.
        evaluating_since: when this process was first seen to evaluate, where that is known.
    """

    run: str
    alerts: Mapping[Key, PrometheusAlert]
    rules: Mapping[str, float] | None = None
    evaluated_at: float | None = None
    interval: float = 0.0
    url: str = ""
    evaluating_since: float | None = None


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An unresolved alert of an Alertmanager."""

    active: bool
    suppressed: bool
    receivers: frozenset[str]
    starts_at: float
    ends_at: float
    generator_url: str


@dataclass(frozen=True, slots=True)
class AlertmanagerView:
    """What the Alertmanagers that answer say.

    Attributes:
        run: the process that has run longest, since a younger one of a cluster learns from it.
        alerts: by label set.
        reporting: the receivers that report their notifications to the inbox.
        group_wait: the longest wait of a route before a group's first notification, in seconds.
        group_interval: the longest wait before a group's next one.
        config: identifies its configuration.
        channels: for each kind of channel the one receiver that has it, where it reports, sends ends as well, and
            groups as the messages show it.
    """

    run: str
    alerts: Mapping[Key, ListedAlert]
    reporting: frozenset[str]
    group_wait: float
    group_interval: float
    config: str = ""
    channels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Post:
    """An alert as it is posted to Alertmanager."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float
    generator_url: str
    reason: str

    def is_resolved(self, now: float) -> bool:
        """Return whether it says that the alert is over."""
        return self.ends_at <= now


_ORDER = {"critical": 1, "error": 2, "warning": 2}


def in_batches(posts: Iterable[Post], now: float) -> list[list[Post]]:
    """Return posts in the order in which Alertmanager should get them: ends first, then by severity.

    What inhibits must be known before what it inhibits, since a late alert is notified without a wait.
    """
    batches: dict[int, list[Post]] = {}
    for post in posts:
        rank = 0 if post.is_resolved(now) else _ORDER.get(post.labels.get("severity", ""), 3)
        batches.setdefault(rank, []).append(post)
    return [batches[rank] for rank in sorted(batches)]
