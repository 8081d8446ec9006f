"""What the guardian notifies people of: alerts that it sends to Alertmanager, since Prometheus may be what hangs.

Pure: times are arguments. Alertmanager forgets an alert that nobody repeats, and sends nothing about one that was
firing for less than its route's `group_wait`; so each alert is repeated while it is true, held for a while, and its end
is repeated too, for an Alertmanager that was being restarted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REPEAT_SECONDS = 15.0
EXPIRY = timedelta(seconds=120)
HOLD_SECONDS = 45.0  # longer than the longest `group_wait` of alertmanager.yml
RESOLVED_SECONDS = 120.0
# What watches everything else: when these hang, nobody else can say so.
_CRITICAL = frozenset({"prometheus", "alertmanager"})


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing to notify people of, with its words.

    Attributes:
        alertname: the alert's name.
        service: the component that it is about.
        severity: `critical` or `warning`.
        summary: what is wrong, in a line.
        description: what was done about it.
        resolved: what to say when it is over.
        labels: further labels.
    """

    alertname: str
    service: str
    severity: str
    summary: str
    description: str
    resolved: str
    labels: Mapping[str, str] = field(default_factory=dict)


def severity_of(component: str) -> str:
    """Return how much the trouble of a component matters."""
    return "critical" if component in _CRITICAL else "warning"


def unresponsive(component: str, seconds: float) -> Incident:
    """Return the incident of a component that answered nothing for `seconds`."""
    return Incident(
        "ComponentUnresponsive",
        component,
        severity_of(component),
        f"{component} of the observability stack answered nothing for {seconds:.0f} s",
        f"{component} ran but answered nothing for {seconds:.0f} s; it was ended and started again.",
        f"{component} answers again",
    )


def restarting(component: str, ends: int, minutes: int, reason: str) -> Incident:
    """Return the incident of a component that ends again and again."""
    return Incident(
        "ComponentRestarting",
        component,
        severity_of(component),
        f"{component} of the observability stack ended {ends} times in {minutes} minutes",
        f"{component} does not stay up ({reason}); `perfloop logs {component}` shows why.",
        f"{component} stays up again",
    )


def disk_full(sentence: str) -> Incident:
    """Return the incident of a disk on which nothing can be stored any more."""
    return Incident(
        "StackDiskFull",
        "host",
        "critical",
        "The disk of the observability stack is full",
        f"{sentence[:1].upper()}{sentence[1:]}.",
        "The disk of the observability stack has space again",
    )


def moved_aside(component: str, state: str, target: str) -> Incident:
    """Return the incident of data that a component could not read."""
    return Incident(
        "StateSetAside",
        component,
        "warning",
        f"{component} could not read its {state}, which was moved aside",
        f"{component} could not read its {state}: it was moved to {target}, and {component} began without it.",
        f"{component} works with new data",
        {"state": state},
    )


@dataclass(slots=True)
class _Open:
    incident: Incident
    since: datetime
    over: bool = False
    taken_at: float | None = None  # when an Alertmanager first took it
    posted_at: float | None = None
    resolved_at: float | None = None  # when its end was first posted


def _format(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _render(one: _Open, wall: datetime, *, resolved: bool) -> dict[str, Any]:
    incident = one.incident
    return {
        "labels": {
            "alertname": incident.alertname,
            "service": incident.service,
            "severity": incident.severity,
            "owner": "platform",
            "source": "guardian",
            **incident.labels,
        },
        "annotations": {
            "summary": incident.summary,
            "description": incident.description,
            "resolved": incident.resolved,
        },
        # The clock may have been set back meanwhile: no alert begins in the future.
        "startsAt": _format(min(one.since, wall)),
        "endsAt": _format(wall if resolved else wall + EXPIRY),
    }


class Incidents:
    """The incidents that are open, or whose end has yet to be sent. Keys are the caller's own."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Open] = {}

    def open(self, key: tuple[str, str], incident: Incident, wall: datetime) -> None:
        """Begin an incident; one that is open goes on with its first words."""
        known = self._open.get(key)
        if known is None or known.resolved_at is not None:
            self._open[key] = _Open(incident, wall)
        else:
            known.over = False

    def close(self, key: tuple[str, str]) -> None:
        """End an incident; nothing happens when none is open."""
        if key in self._open:
            self._open[key].over = True

    def find_due(self, now: float, wall: datetime) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the alerts to post at this moment, as Alertmanager's API takes them.

        Args:
            now: seconds of a monotonic clock, which paces; `wall` is the time of day that alerts carry.
            wall: the time of day.
        """
        due = {}
        for key, one in list(self._open.items()):
            if one.resolved_at is not None and now - one.resolved_at > RESOLVED_SECONDS:
                del self._open[key]
            elif one.posted_at is None or now - one.posted_at >= REPEAT_SECONDS or self._turns(one, now):
                due[key] = _render(one, wall, resolved=self._is_through(one, now))
        return due

    def note_posted(self, keys: Iterable[tuple[str, str]], now: float) -> None:
        """Take in that an Alertmanager has accepted the alerts of these keys."""
        for key in keys:
            one = self._open.get(key)
            if one is None:
                continue
            one.posted_at = now
            if self._is_through(one, now):
                one.resolved_at = now if one.resolved_at is None else one.resolved_at
            elif one.taken_at is None:
                one.taken_at = now

    @staticmethod
    def _is_through(one: _Open, now: float) -> bool:
        """Return whether the incident is over and was firing for long enough to be sent."""
        return one.over and one.taken_at is not None and now - one.taken_at >= HOLD_SECONDS

    def _turns(self, one: _Open, now: float) -> bool:
        return one.resolved_at is None and self._is_through(one, now)
