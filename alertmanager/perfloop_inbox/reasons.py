"""Was somebody notified of an alert, by which channel and when; and if not, why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_inbox.alertmanager import is_report, list_waits, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_inbox.notices import Sent

# The first notification and the alert's beginning are written down by two clocks.
_TOLERANCE_SECONDS = 1.0
# A notification is on its way for a moment after its group's wait.
_SENDING_SECONDS = 5.0
_COUNTS = re.compile(
    r"^alertmanager_notification(_requests|_requests_failed|s_failed)_total\{([^}]*)\} (\S+)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Failures:
    """The requests of one channel since Alertmanager started, those that failed, and Alertmanager's words for why."""

    requests: float = 0.0
    failed: float = 0.0
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        why = f" ({', '.join(self.reasons)})" if self.reasons else ""
        return f"{self.failed:.0f} of {self.requests:.0f} requests by this channel failed{why}"


@dataclass(frozen=True, slots=True)
class Situation:
    """What Alertmanager says beside its alerts.

    Attributes:
        channels: the channels of each receiver, the reports to the inbox left out.
        waits: the longest wait of each receiver before it sends, in seconds.
        failures: of each channel.
        alerts: the names of alerts by fingerprint.
        silences: author, comment and end of each silence.
    """

    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    waits: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, Failures] = field(default_factory=dict)
    alerts: Mapping[str, str] = field(default_factory=dict)
    silences: Mapping[str, str] = field(default_factory=dict)


def read_failures(metrics: str) -> dict[str, Failures]:
    """Return the failures of each channel from Alertmanager's own metrics; 0.25 counts them without a reason."""
    counts: dict[tuple[str, str], float] = {}
    reasons: dict[str, set[str]] = {}
    for kind, labels, value in _COUNTS.findall(metrics):
        pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
        channel = pairs.get("integration", "")
        counts[kind, channel] = counts.get((kind, channel), 0.0) + float(value)
        if kind == "s_failed" and float(value) and pairs.get("reason"):
            reasons.setdefault(channel, set()).add(pairs["reason"])
    return {
        channel: Failures(
            total, counts.get(("_requests_failed", channel), 0.0), tuple(sorted(reasons.get(channel, ())))
        )
        for (kind, channel), total in counts.items()
        if kind == "_requests"
    }


def read_channels(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the channels of each receiver of a configuration."""
    found: dict[str, tuple[str, ...]] = {}
    for receiver in config.get("receivers") or []:
        kinds = (
            kind.removesuffix("_configs")
            for kind, channels in receiver.items()
            if kind.endswith("_configs") and any(kind != "webhook_configs" or not is_report(one) for one in channels)
        )
        found[str(receiver["name"])] = tuple(sorted(kinds))
    return found


def read_waits(config: Mapping[str, Any]) -> dict[str, float]:
    """Return the longest wait of each receiver: a group's first notification, or the next of one that was sent."""
    waits: dict[str, float] = {}
    for receiver, wait, interval in list_waits(dict(config["route"])):
        waits[receiver] = max(waits.get(receiver, 0.0), wait, interval)
    return waits


def name_alert(labels: Mapping[str, Any]) -> str:
    """Return an alert's name and service."""
    return " of ".join(str(labels[name]) for name in ("alertname", "service") if labels.get(name))


def explain(alert: Mapping[str, Any], sent: Sequence[Sent], situation: Situation, now: float) -> list[str]:
    """Return one sentence for each reason or channel.

    Args:
        alert: as Alertmanager's API has it.
        sent: what was sent about it.
        situation: what Alertmanager says beside it.
        now: Unix seconds.
    """
    began = parse_time(str(alert["startsAt"]))
    present = [one for one in sent if one.at >= began - _TOLERANCE_SECONDS]
    held = list(_list_holds(alert["status"], situation))
    if held:
        before = [f"{one.channel or one.receiver}: notified before, at {_clock(one.at)}." for one in _tellers(present)]
        return [*held, *before]
    lines: list[str] = []
    for receiver in sorted(str(one["name"]) for one in alert.get("receivers") or []):
        channels = situation.channels.get(receiver, ())
        if not channels:
            lines.append(f"Nobody is notified: the receiver {receiver} has no channel.")
        mine = [one for one in present if one.receiver == receiver]
        age = now - began
        lines += [_explain_channel(channel, mine, situation, receiver, age) for channel in channels]
    return lines


def _list_holds(status: Mapping[str, Any], situation: Situation) -> Iterator[str]:
    for number in status.get("silencedBy") or []:
        yield f"Nobody is notified: silenced{situation.silences.get(str(number), '')}."
    for fingerprint in status.get("inhibitedBy") or []:
        yield f"Nobody is notified: inhibited by {situation.alerts.get(str(fingerprint), 'another alert')}."
    for interval in status.get("mutedBy") or []:
        yield f"Nobody is notified: muted by the time interval {interval}."


def _tellers(sent: Sequence[Sent]) -> list[Sent]:
    """Return the channels that are known, else the receivers."""
    known = [one for one in sent if one.channel and one.channel != "webhook"]
    return known or [one for one in sent if not one.channel]


def _explain_channel(channel: str, sent: Sequence[Sent], situation: Situation, receiver: str, age: float) -> str:
    taken = next((one for one in sent if one.channel == channel), None)
    if taken:
        return f"{channel}: notified at {_clock(taken.at)}."
    failures = situation.failures.get(channel, Failures())
    recorded = any(one.channel for one in sent)
    reported = next((one for one in sent if not one.channel), None)
    if reported and not recorded:
        doubt = f", but {failures} since Alertmanager started" if failures.failed else ""
        return f"{channel}: notified at {_clock(reported.at)}, as its receiver reports{doubt}."
    if failures.failed:
        return f"{channel}: not notified: {failures} since Alertmanager started."
    wait = situation.waits.get(receiver, 0.0)
    if age < wait + _SENDING_SECONDS:
        return f"{channel}: waits for its group, {wait:.0f} s at most."
    return f"{channel}: not notified yet, and no request failed: its group is notified at the next interval."


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"
