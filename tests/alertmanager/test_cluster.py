"""Two Alertmanagers in a cluster: nothing is doubled while both live, nothing lost when one dies."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.alerting_chain import Chain, fetch, quicker, start_alertmanagers, start_inbox, wait_until

PAIR = ("alertmanager", "alertmanager-2")


def post_to_both(chain: Chain, name: str) -> None:
    """Send an alert to every Alertmanager that lives, as Prometheus does."""
    for member in PAIR:
        process = chain.processes[member].popen
        if process and process.poll() is None:
            labels = {"alertname": name, "service": "shop", "severity": "critical"}
            chain.post_alerts({"labels": labels, "annotations": {"summary": "S", "description": "D."}}, to=member)


def count(chain: Chain, name: str) -> dict[str, int]:
    """Return how many messages of an alert each channel got."""
    messages = chain.messages(alertname=name)
    return {channel: sum(one["channel"] == channel for one in messages) for channel in ("slack", "email", "pagerduty")}


@pytest.fixture
def pair(bare_chain: Chain) -> Chain:
    """An inbox and two Alertmanagers that see each other."""
    start_inbox(bare_chain)
    start_alertmanagers(bare_chain, count=2, rewrite=quicker, flags=("--cluster.peer-timeout=3s",))
    status = f"{bare_chain.urls['alertmanager']}/api/v2/status"
    wait_until(lambda: len(fetch(status)["cluster"]["peers"]) == 2, what="the two to see each other")
    wait_until(lambda: fetch(status)["cluster"]["status"] == "ready", what="the cluster to settle")
    return bare_chain


def test_nothing_is_doubled_and_nothing_is_lost_when_one_dies(pair: Chain):
    """Both get every alert and one of them notifies; when it is killed, the other one notifies."""
    post_to_both(pair, "First")
    wait_until(lambda: all(count(pair, "First").values()), what="the first alert on every channel")
    time.sleep(8)  # longer than the second one waits for the first one's word, and than a group interval
    assert set(count(pair, "First").values()) == {1}

    pair.processes["alertmanager"].stop(signal.SIGKILL)
    post_to_both(pair, "First")
    post_to_both(pair, "Second")
    wait_until(lambda: all(count(pair, "Second").values()), what="the second alert on every channel")
    time.sleep(8)
    assert set(count(pair, "Second").values()) == {1}
    assert set(count(pair, "First").values()) == {1}
