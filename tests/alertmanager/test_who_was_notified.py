"""Was somebody notified of an alert, and if not, why: the inbox's page in front of a real Alertmanager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfloop.stack.alertmanager_version import EVENT_RECORDER, read_version
from tests.support.alerting_chain import (
    Chain,
    binary,
    fetch,
    quicker,
    start_alertmanagers,
    start_inbox,
    unchanged,
    wait_until,
)

LABELS = {"alertname": "PoolFull", "service": "shop", "owner": "database"}


@pytest.fixture
def watched(bare_chain: Chain) -> Chain:
    """An inbox that knows its Alertmanager, which is yet to be started."""
    start_inbox(bare_chain, watching=True)
    return bare_chain


def notified_of(chain: Chain, **labels: str) -> list[str]:
    """Return what the inbox says of the one alert that has these labels."""
    rows: list[dict[str, Any]] = fetch(f"{chain.urls['inbox']}/api/alerts")
    (found,) = [row for row in rows if all(f'{name}="{value}"' in row["labels"] for name, value in labels.items())]
    return list(found["notified"])


def wait_notified(chain: Chain, wanted: str, **labels: str) -> list[str]:
    """Return what the inbox says as soon as one of its sentences begins so."""
    return list(
        wait_until(
            lambda: (
                (lines := notified_of(chain, **labels)) and any(line.startswith(wanted) for line in lines) and lines
            ),
            what=f"{wanted!r} of {labels}",
            seconds=30,
        )
    )


def test_each_channel_that_was_notified_and_when(watched: Chain):
    """A critical alert goes to three channels; the page and the API say so."""
    start_alertmanagers(watched, rewrite=quicker)
    watched.post_alerts({"labels": LABELS | {"severity": "critical"}})
    for channel in ("email", "pagerduty", "slack"):
        wait_notified(watched, f"{channel}: notified at ", alertname="PoolFull")
    assert len(notified_of(watched, alertname="PoolFull")) == 3
    assert "slack: notified at" in fetch(f"{watched.urls['inbox']}/alerts")


def test_why_nobody_was_notified(watched: Chain):
    """Silenced, inhibited, no channel; each with its reason."""
    start_alertmanagers(watched, rewrite=quicker)
    wish = {"matchers": 'pool="b"', "duration": "1h", "author": "ann", "comment": "being resized"}
    fetch(f"{watched.urls['inbox']}/api/silences", method="POST", body=wish)
    watched.post_alerts(
        {"labels": LABELS | {"severity": "warning", "pool": "b"}},
        {"labels": LABELS | {"severity": "critical", "pool": "c"}},
        {"labels": LABELS | {"severity": "info", "pool": "d"}},
    )
    watched.wait_message(channel="slack")
    watched.post_alerts({"labels": LABELS | {"severity": "warning", "pool": "c", "alertname": "PoolFull"}})
    (silenced,) = wait_notified(watched, "Nobody is notified: silenced by ann until ", pool="b")
    assert silenced.endswith(": being resized.")
    assert notified_of(watched, pool="d") == ["Nobody is notified: the receiver dashboards has no channel."]
    rows = wait_until(
        lambda: [row for row in fetch(f"{watched.urls['inbox']}/api/alerts") if row["state"] == "inhibited"],
        what="an inhibited alert",
    )
    assert rows[0]["notified"][0] == "Nobody is notified: inhibited by PoolFull of shop."


def test_a_channel_that_refuses_is_named_with_its_failures(watched: Chain):
    """The others were notified. Without an event recorder the receiver's report is shown with the count of failures."""
    watched.break_channel(slack=403)
    start_alertmanagers(watched, rewrite=quicker)
    watched.post_alerts({"labels": LABELS | {"severity": "critical"}})
    wait_notified(watched, "email: notified at ", alertname="PoolFull")
    version = read_version(Path(binary("alertmanager")))
    recorded = version is not None and version >= EVENT_RECORDER
    slack = wait_notified(
        watched, "slack: not notified: " if recorded else "slack: notified at ", alertname="PoolFull"
    )[-1]
    wait_until(
        lambda: "requests by this channel failed" in notified_of(watched, alertname="PoolFull")[-1], what="the count"
    )
    assert recorded or "as its receiver reports" in slack


def test_an_alert_that_waits_for_its_group(watched: Chain):
    """With the committed waits: nothing was sent yet, and by when it will be."""
    start_alertmanagers(watched, rewrite=unchanged)
    watched.post_alerts({"labels": LABELS | {"severity": "warning"}})
    wait_notified(watched, "slack: waits for its group, 30 s at most.", alertname="PoolFull")


def test_events_that_are_none_are_taken_and_mean_nothing(watched: Chain):
    """Whatever comes is answered; a later version may have other events."""
    for event in ([], {}, {"data": 1}, {"data": {"notification": {"alerts": [{"details": {"labels": 1}}]}}}, [1, None]):
        assert fetch(f"{watched.urls['inbox']}/events", method="POST", body=event) == {"alerts": 0}
