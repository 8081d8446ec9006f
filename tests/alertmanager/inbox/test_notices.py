"""Who was notified, from the event recorder's events, the receivers' reports and Alertmanager's counts."""

from __future__ import annotations

from typing import Any

import pytest

from perfloop_inbox.notices import Notices
from perfloop_inbox.reasons import Failures, Situation, explain, read_failures

LABELS = {"alertname": "PoolFull", "service": "shop"}
ALERT = {"labels": LABELS, "startsAt": "2026-11-29T12:00:00Z", "status": {}, "receivers": [{"name": "slack"}]}
BEGAN = 1795953600.0
SITUATION = Situation({"slack": ("msteamsv2", "slack")}, {"slack": 30.0})


def event(*, listed: bool, firing: bool = True, channel: str = "slack") -> dict[str, Any]:
    """Return a notification as 0.33 (labels as a list, `hash`) or 0.35 (a map, `fingerprint`) has it."""
    pairs = {"labels": [{"key": name, "value": value} for name, value in LABELS.items()]}
    identity = {"hash" if listed else "fingerprint": "17"}
    notification = {
        "alerts": [identity | {"details": {"labels": pairs if listed else LABELS}}],
        "firingAlerts" if firing else "resolvedAlerts": [identity],
        "groupInfo": {"receiverName": "slack"},
        "integration": {"name": channel},
    }
    return {"data": {"notification": notification}}


@pytest.mark.parametrize("listed", [True, False])
def test_an_event_names_the_channel(listed: object):
    """Both forms of the recorder's events; a channel of the same receiver without one was not notified."""
    notices = Notices()
    assert notices.note_event(event(listed=bool(listed)), BEGAN + 3) == 1
    assert explain(ALERT, notices.find(LABELS), SITUATION, BEGAN + 99) == [
        "msteamsv2: not notified yet, and no request failed: its group is notified at the next interval.",
        "slack: notified at 12:00:03 UTC.",
    ]


def test_the_end_of_an_alert_and_an_earlier_time_are_no_notice():
    """An alert that fires again is another one: what was sent about the last does not count."""
    notices = Notices()
    assert notices.note_event(event(listed=False, firing=False), BEGAN + 3) == 0
    notices.note_event(event(listed=False), BEGAN - 60)
    lines = explain(ALERT, notices.find(LABELS), SITUATION, BEGAN + 5)
    assert lines == [f"{name}: waits for its group, 30 s at most." for name in ("msteamsv2", "slack")]


def test_a_silence_after_the_notice_says_both():
    """Somebody was notified before the silence began."""
    notices = Notices()
    notices.note_report("slack", LABELS, BEGAN + 3)
    held = ALERT | {"status": {"silencedBy": ["a"], "mutedBy": ["nights"]}}
    assert explain(held, notices.find(LABELS), Situation(silences={"a": " by ann"}), BEGAN + 9) == [
        "Nobody is notified: silenced by ann.",
        "Nobody is notified: muted by the time interval nights.",
        "slack: notified before, at 12:00:03 UTC.",
    ]


def test_counts_of_several_members_are_added():
    """Each member of a cluster counts what it sent itself; 0.25 counts without a reason."""
    one = (
        'alertmanager_notification_requests_total{integration="slack"} 3\n'
        'alertmanager_notification_requests_failed_total{integration="slack"} 2\n'
        'alertmanager_notifications_failed_total{integration="slack",reason="clientError"} 2\n'
        'alertmanager_notifications_failed_total{integration="slack",reason="other"} 0\n'
    )
    assert read_failures(one + one)["slack"] == Failures(6, 4, ("clientError",))
    assert read_failures("") == {}
    assert str(Failures(3, 2)) == "2 of 3 requests by this channel failed"
