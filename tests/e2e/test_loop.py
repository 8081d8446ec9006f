"""One command up, one fault on, and everything a person was promised arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.loop import assert_loop_closes, wait_for

if TYPE_CHECKING:
    from tests.e2e.loop import LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("live-stack"), pytest.mark.timeout(900)]


def test_loop_closes(live_stack: LiveStack):
    """Slow queries: alert, Slack, e-mail, PagerDuty, lower score, recommendation; healed: the all-clear."""
    assert_loop_closes(live_stack)


def test_every_target_is_up(live_stack: LiveStack):
    """Every target of Prometheus is up, the demo and its load among them."""
    wait_for(lambda: live_stack.query("up") and not live_stack.query("up == 0"), "every target to be up")
    jobs = {series["metric"]["job"] for series in live_stack.query("up")}
    assert {"node", "demo", "analyzer", "loadgen", "inbox", "prometheus", "alertmanager"} <= jobs


def test_heartbeat_arrives(live_stack: LiveStack):
    """The dead man's switch reaches the inbox all the time, and says so in a metric."""
    wait_for(lambda: httpx.get(f"{live_stack.inbox}/api/heartbeats").json(), "the first heartbeat")
    wait_for(
        lambda: live_stack.query("time() - inbox_last_heartbeat_timestamp_seconds < 120"), "its time in Prometheus"
    )
