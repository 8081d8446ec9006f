"""The alert report: what fired, how long, who was informed, what was done about it, and what is only noise.

An alert counts as acted on when, while it fired or within ACT_SECONDS after it, somebody silenced or acknowledged it,
decided on a recommendation for its service, or recorded or deployed a change of its service. An alert of which no
episode was acted on is noise: nobody needed to be informed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.reports.episodes import Episode, find_episodes
from perfloop_base.quantities import span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from perfloop_analyzer.reports.episodes import Flags
    from perfloop_analyzer.reports.window import Window
    from perfloop_analyzer.series import Batch

ACT_SECONDS = 3600.0
# A message may come a little before the moment that the grid knows, and long after it where a channel was down.
EARLY_SECONDS, LATE_SECONDS = 180.0, 900.0
OFFENDER_EPISODES = 3
_REPORTING = frozenset({"webhook"})  # by which every receiver reports to the inbox
_RANKS = {"critical": 0, "error": 1, "warning": 2}


@dataclass(frozen=True, slots=True)
class Message:
    """A notification that arrived in the inbox; `at` in Unix seconds."""

    at: float
    channel: str
    alertname: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence of Alertmanager: its matchers as (label, value, is regular expression, is equal)."""

    start: float
    end: float
    by: str
    comment: str
    matchers: tuple[tuple[str, str, bool, bool], ...]

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Return whether it silences an alert, or one of several that these labels stand for, by what they have."""
        known = [one for one in self.matchers if one[0] in labels]
        return bool(known) and all(_matches(labels[name], value, regex) == equal for name, value, regex, equal in known)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did to a service, in words, at a moment in Unix seconds."""

    at: float
    service: str
    words: str


@dataclass(frozen=True, slots=True)
class Sent:
    """Notifications by one channel, as Alertmanager counted them; None where the count is not known."""

    channel: str
    sent: float | None
    failed: float | None


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """What is known of the alerts of a window; None where a source did not answer, and `unknown` says why.

    Attributes:
        firing: For each alert whether it fired, on a grid that ends with the window.
        covered: At which of its points Prometheus has any data, shape (points,).
        sent: What Alertmanager counted.
    """

    firing: Batch | None
    covered: Flags
    sent: tuple[Sent, ...] = ()
    messages: tuple[Message, ...] | None = None
    silences: tuple[Silence, ...] | None = None
    acts: tuple[Act, ...] | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """One alert of one service over the window.

    Attributes:
        informed: How many messages arrived in the inbox, by channel; None where nobody knows.
        acts: What was done about it, in words; None where that is not known.
    """

    alertname: str
    service: str
    severity: str
    episodes: tuple[Episode, ...]
    informed: Mapping[str, int] | None
    acts: tuple[str, ...] | None

    @property
    def seconds(self) -> float:
        """How long it fired in all."""
        return sum(one.seconds for one in self.episodes)

    @property
    def is_firing(self) -> bool:
        """Whether it fires on at the end of the window."""
        return not self.episodes[-1].ended

    @property
    def is_noise(self) -> bool:
        """Whether it is known that nobody acted on it."""
        return self.acts is not None and not self.acts

    @property
    def is_offender(self) -> bool:
        """Whether it came back again and again."""
        return len(self.episodes) >= OFFENDER_EPISODES

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "alertname": self.alertname,
            "service": self.service,
            "severity": self.severity,
            "times": len(self.episodes),
            "seconds": self.seconds,
            "firing": self.is_firing,
            "episodes": [
                {"from": one.start, "to": one.end, "began": one.began, "ended": one.ended} for one in self.episodes
            ],
            "informed": dict(self.informed) if self.informed is not None else None,
            "acts": list(self.acts) if self.acts is not None else None,
            "noise": self.is_noise if self.acts is not None else None,
            "repeat_offender": self.is_offender,
        }


@dataclass(frozen=True, slots=True)
class AlertHistory:
    """The alerts of a window, the worst first."""

    alerts: tuple[AlertRecord, ...]
    sent: tuple[Sent, ...] = ()
    coverage: float = 1.0
    unknown: tuple[str, ...] = ()
    is_known: bool = field(default=True)

    @property
    def times(self) -> int:
        """How often alerts fired in all."""
        return sum(len(one.episodes) for one in self.alerts)

    @property
    def noise(self) -> tuple[AlertRecord, ...]:
        """The alerts that nobody acted on."""
        return tuple(one for one in self.alerts if one.is_noise)

    @property
    def offenders(self) -> tuple[AlertRecord, ...]:
        """The alerts that came back most often."""
        return tuple(sorted((one for one in self.alerts if one.is_offender), key=lambda one: -len(one.episodes)))

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        channels = [{"channel": one.channel, "sent": one.sent, "failed": one.failed} for one in self.sent]
        return {
            "known": self.is_known,
            "coverage": round(self.coverage, 3),
            "times": self.times,
            "alerts": [one.as_dict() for one in self.alerts],
            "channels": channels,
        }


def build_alerts(facts: AlertFacts, window: Window) -> AlertHistory:
    """Return what is known of the alerts of a window."""
    batch, covered = facts.firing, facts.covered
    share = float(covered.mean()) if covered.size else 0.0
    outside = _outside(facts)
    unknown = (*facts.unknown, *_gaps(facts, window))
    if outside:
        names = " and ".join(outside)
        unknown += (f"messages by {names} go to the real service: about which alert each one was is not known here",)
    if batch is None:
        return AlertHistory((), facts.sent, share, unknown, is_known=False)
    records = [
        _record(dict(labels), episodes, facts, is_whole=not outside)
        for labels, row in zip(batch.labels, batch.values, strict=True)
        if (episodes := find_episodes(row, covered, batch.grid))
    ]
    records.sort(key=lambda one: (_RANKS.get(one.severity, len(_RANKS)), -one.seconds, one.alertname, one.service))
    return AlertHistory(tuple(records), facts.sent, share, unknown, is_known=bool(covered.any()))


def _outside(facts: AlertFacts) -> list[str]:
    """Return the channels by which Alertmanager sent something that the inbox knows nothing of."""
    inside = {message.channel for message in facts.messages or ()} | _REPORTING
    return [one.channel for one in facts.sent if one.sent and facts.messages is not None and one.channel not in inside]


def _record(
    labels: Mapping[str, str], episodes: tuple[Episode, ...], facts: AlertFacts, *, is_whole: bool
) -> AlertRecord:
    alertname, service = labels.get("alertname", ""), labels.get("service", "")
    informed: dict[str, int] | None = None
    if facts.messages is not None:
        informed = {}
        for message in facts.messages:
            if message.status == "firing" and _is_about(message, alertname, service, episodes):
                informed[message.channel] = informed.get(message.channel, 0) + 1
        # That none came to the inbox says nothing where a channel does not end there.
        informed = informed if informed or is_whole else None
    return AlertRecord(
        alertname, service, labels.get("severity", ""), episodes, informed, _acts(labels, episodes, facts)
    )


def _acts(labels: Mapping[str, str], episodes: Sequence[Episode], facts: AlertFacts) -> tuple[str, ...] | None:
    """Return what was done; None where nothing was found and a source did not answer."""
    found = list(dict.fromkeys(_find_acts(labels, episodes, facts)))
    is_whole = facts.silences is not None and facts.acts is not None
    return tuple(found) if found or is_whole else None


def _find_acts(labels: Mapping[str, str], episodes: Sequence[Episode], facts: AlertFacts) -> Iterator[str]:
    alertname, service = labels.get("alertname", ""), labels.get("service", "")
    for silence in facts.silences or ():
        overlaps = any(silence.start <= one.end + ACT_SECONDS and silence.end >= one.start for one in episodes)
        if overlaps and silence.covers(labels):
            reason = f": {silence.comment}" if silence.comment else ""
            yield f"silenced by {silence.by or 'somebody'}{reason}"
    for message in facts.messages or ():
        if message.status == "acknowledged" and _is_about(message, alertname, service, episodes):
            yield "acknowledged"
    for act in facts.acts or ():
        if service and act.service == service and any(one.start <= act.at <= one.end + ACT_SECONDS for one in episodes):
            yield act.words


def _is_about(message: Message, alertname: str, service: str, episodes: Iterable[Episode]) -> bool:
    if message.alertname != alertname or (service and service not in message.text):
        return False
    return any(one.start - EARLY_SECONDS <= message.at <= one.end + LATE_SECONDS for one in episodes)


def _gaps(facts: AlertFacts, window: Window) -> Iterator[str]:
    """Yield what Prometheus has no data of: a history that is shorter than the window, and gaps in it."""
    covered = facts.covered
    if not covered.any():
        if not facts.unknown:
            yield "Prometheus has no data of this time: it was not running, or its retention is shorter"
        return
    step = window.seconds / len(covered)
    first, missing = int(covered.argmax()), int((~covered).sum())
    if first > 1:
        begin = window.clock(window.start + (first + 1) * step)
        yield f"Prometheus's data begin on {begin}: what was before is not known"
    gaps = (missing - first) * step
    if gaps >= 2 * step:
        yield f"Prometheus has no data of {span(gaps)} of this time: what fired then is not known"


def _matches(value: str, wanted: str, is_regex: bool) -> bool:  # noqa: FBT001 - as Alertmanager writes it
    if not is_regex:
        return value == wanted
    try:
        return re.fullmatch(wanted, value) is not None
    except re.error:
        return False
