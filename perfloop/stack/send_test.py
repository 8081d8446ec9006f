"""One test notification through every channel of a running Alertmanager, and what came back.

Where a channel goes to the inbox, the inbox is asked whether the message came. Where it goes to the real service, the
proof is Alertmanager's own count of requests and of refusals: the service's answer is known to it alone.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets as random_names
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from perfloop.stack.alertmanager_secrets import is_outside
from perfloop.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALERTNAME = "PerfloopTest"
CHANNELS = ("slack", "email", "pagerduty", "heartbeat")
# Channels that exist with their file alone, the one beside which each gets its test, and Alertmanager's name for it.
FURTHER = {
    "opsgenie": ("pagerduty", "opsgenie"),
    "teams": ("slack", "msteamsv2"),
    "discord": ("slack", "discord"),
    "webhook": ("slack", "webhook"),
}
# Two channels and the reports to the inbox are counted as one integration.
_WEBHOOKS = ("heartbeat", "webhook")
PATIENCE_SECONDS = 15.0
LASTS = timedelta(seconds=30)  # then it resolves by itself, so that no incident stays open
REQUESTS = "alertmanager_notification_requests_total"
REFUSALS = "alertmanager_notification_requests_failed_total"
REPORTS = "perfloop_notifications_reports_total"
_TIMEOUT_SECONDS = 5.0
_POLL_SECONDS = 0.2
# An answer that does not come, or that another program than the inbox gave.
_NO_ANSWER = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one channel's test notification.

    `known` is False where the inbox, which alone could have said so, does not answer.
    """

    channel: str
    delivered: bool
    finding: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class _Test:
    id: str
    alertmanager_url: str
    inbox_url: str
    before: dict[tuple[str, str], float]
    reports: float
    started: datetime
    webhooks: int


def send_test(
    *, alertmanager_url: str, inbox_url: str, secrets_dir: Path, patience_seconds: float = PATIENCE_SECONDS
) -> list[Answer]:
    """Send one test alert per channel and return what came back of each.

    Raises:
        StackError: when Alertmanager does not take the alerts.
    """
    before = _read_counts(alertmanager_url)
    reports = _read_reports(inbox_url)
    webhooks = sum(is_outside(channel, secrets_dir) for channel in _WEBHOOKS)
    test = _Test(random_names.token_hex(4), alertmanager_url, inbox_url, before, reports, datetime.now(UTC), webhooks)
    _send(alertmanager_url, "/api/v2/alerts", [_alert(channel, test.id) for channel in CHANNELS])
    looks: dict[str, Callable[[_Test, str], Answer | None]] = {
        channel: _look_at_counts if is_outside(channel, secrets_dir) else _look_in_inbox for channel in CHANNELS
    }
    looks["heartbeat"] = _look_for_beat_outside if is_outside("heartbeat", secrets_dir) else _look_for_beat
    further = [channel for channel in FURTHER if is_outside(channel, secrets_dir)]
    looks |= {channel: _look_at_webhooks if channel in _WEBHOOKS else _look_at_counts for channel in further}
    return _collect(test, looks, time.monotonic() + patience_seconds)


def _collect(test: _Test, looks: dict[str, Callable[[_Test, str], Answer | None]], end: float) -> list[Answer]:
    answers: dict[str, Answer] = {}
    while len(answers) < len(looks) and time.monotonic() < end:
        for channel, look in looks.items():
            found = None if channel in answers else look(test, channel)
            if found:
                answers[channel] = found
        time.sleep(_POLL_SECONDS)
    return [answers.get(channel) or _missing(test, channel) for channel in looks]


def _alert(channel: str, test_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    labels = {
        "alertname": ALERTNAME,
        "channel": channel,
        "test": test_id,
        "severity": "critical",
        "service": "perfloop",
    }
    annotations = {
        "summary": "This is a test: nothing is wrong",
        "description": f"`perfloop doctor --send-test` sent this to {channel}; its number is {test_id}.",
    }
    times = {"startsAt": now.isoformat(), "endsAt": (now + LASTS).isoformat()}
    return {"labels": labels, "annotations": annotations, **times}


def _look_in_inbox(test: _Test, channel: str) -> Answer | None:
    query = urllib.parse.urlencode({"channel": channel, "status": "firing"})
    try:
        texts = [str(message["text"]) for message in json.loads(_get(f"{test.inbox_url}/api/messages?{query}"))]
    except _NO_ANSWER as error:
        return _no_inbox(test, channel, error)
    if any(test.id in text for text in texts):
        return Answer(channel, delivered=True, finding=f"arrived in the inbox {test.inbox_url} (test {test.id})")
    return None


def _no_inbox(test: _Test, channel: str, error: Exception) -> Answer:
    finding = f"the inbox at {test.inbox_url} does not answer: {error or type(error).__name__}"
    return Answer(channel, delivered=False, finding=finding, known=False)


def _beats(test: _Test) -> list[str]:
    """Return the heartbeats that came to the inbox since the test began."""
    beats = json.loads(_get(f"{test.inbox_url}/api/heartbeats"))
    return [json.dumps(beat) for beat in beats if datetime.fromisoformat(beat["received_at"]) >= test.started]


def _look_for_beat(test: _Test, channel: str) -> Answer | None:
    try:
        beats = _beats(test)
    except _NO_ANSWER as error:
        return _no_inbox(test, channel, error)
    if any(test.id in beat for beat in beats):
        return Answer(channel, delivered=True, finding=f"heard by the inbox {test.inbox_url} alone (test {test.id})")
    return None


def _look_for_beat_outside(test: _Test, channel: str) -> Answer | None:
    """The inbox receives it too: what was sent beyond its share went outside."""
    heard = _look_for_beat(test, channel)
    if heard is None or not heard.delivered:
        return heard
    return _look_at_webhooks(test, channel)


def _look_at_webhooks(test: _Test, channel: str) -> Answer | None:
    """What was sent beyond the share of the inbox went outside; every webhook there must have had its own."""
    changes = _changes(test, "webhook")  # before what the inbox has counted, which then is never less
    try:
        to_inbox = len(_beats(test)) + max(0, round(_read_reports(test.inbox_url) - test.reports))
    except _NO_ANSWER as error:
        return _no_inbox(test, channel, error)
    return _judge(channel, *changes, to_inbox + test.webhooks - 1, test.id)


def _read_reports(inbox_url: str) -> float:
    """Return how many reports of receivers the inbox was sent, by webhooks too; 0 where it does not answer."""
    try:
        found = re.search(rf"^{REPORTS} (\S+)$", _get(f"{inbox_url}/metrics"), re.MULTILINE)
        return float(found[1]) if found else 0.0
    except _NO_ANSWER:
        return 0.0


def _look_at_counts(test: _Test, channel: str) -> Answer | None:
    return _judge(channel, *_changes(test, integration_of(channel)), 0, test.id)


def integration_of(channel: str) -> str:
    """Return Alertmanager's name for a channel."""
    return FURTHER[channel][1] if channel in FURTHER else "webhook" if channel == "heartbeat" else channel


def _changes(test: _Test, integration: str) -> tuple[float, float]:
    """Return how many requests were made since the test began, and how many of them were refused."""
    now = _read_counts(test.alertmanager_url)
    keys = ((REQUESTS, integration), (REFUSALS, integration))
    requests, refusals = (now.get(key, 0) - test.before.get(key, 0) for key in keys)
    return requests, refusals


def _judge(channel: str, requests: float, refusals: float, to_inbox: int, test_id: str) -> Answer | None:
    if refusals:
        said = "the real service refused it or cannot be reached: see `perfloop logs alertmanager`"
        return Answer(channel, delivered=False, finding=f"{said} ({refusals:g} of {requests:g} requests failed)")
    if requests > to_inbox:
        return Answer(channel, delivered=True, finding=f"the real service took it (test {test_id})")
    return None


def _missing(test: _Test, channel: str) -> Answer:
    _, refusals = _changes(test, integration_of(channel))
    reason = f"{refusals:g} requests were refused" if refusals else "nothing came and nothing was refused"
    return Answer(channel, delivered=False, finding=f"did not arrive: {reason} (test {test.id})")


def _read_counts(alertmanager_url: str) -> dict[tuple[str, str], float]:
    """Return Alertmanager's counts of requests and of refusals by integration."""
    try:
        text = _get(f"{alertmanager_url}/metrics")
    except _NO_ANSWER as error:
        raise StackError(
            f"Alertmanager at {alertmanager_url} does not answer: {error}. Start it with `perfloop up`."
        ) from error
    row = re.compile(rf'^({REQUESTS}|{REFUSALS})\{{[^}}]*integration="(\w+)"[^}}]*\}} ([0-9.e+]+)$', re.MULTILINE)
    counts: dict[tuple[str, str], float] = {}
    for name, integration, value in row.findall(text):
        counts[name, integration] = counts.get((name, integration), 0.0) + float(value)
    return counts


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # our own http addresses
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _send(base: str, path: str, body: Any) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(base + path, data=json.dumps(body).encode(), headers=headers)  # noqa: S310  # as above
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310  # as above
            return
    except urllib.error.HTTPError as error:
        with error:
            said = error.read().decode(errors="replace").strip()
        raise StackError(f"Alertmanager at {base} refused the test alerts with {error.code}: {said}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"Alertmanager at {base} does not answer: {error}. Start it with `perfloop up`.") from error
