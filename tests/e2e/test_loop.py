"""One command up, one fault on, and everything a person was promised arrives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.live_stack import assert_loop_closes
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from tests.support.live_stack import LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("live-stack")]


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


# Fault → what must be seen by PromQL: the signal's own alert, pending or firing, or the series it moves.
SIX_FAULTS = {
    "cache_off": ('ALERTS{service="demo", signal="cache_hit_ratio"}', True),
    # Not only the 504 of the exhausted pool: 500 as well.
    "errors": (
        (
            'ALERTS{service="demo", signal="error_ratio"} and on (service) '
            'increase(http_server_request_duration_seconds_count{http_response_status_code="500"}[1m]) > 0'
        ),
        0.3,
    ),
    "slow_first_token": ('ALERTS{service="demo", signal="model_inference_time_p95"}', 7),
    "pool_exhausted": (
        'ALERTS{service="demo", signal="db_pool_used_ratio"} and on () ALERTS{signal="timeout_ratio"}',
        10,
    ),
    "memory_leak": ('process_resident_memory_bytes{service="demo"} > 400 * 1024 * 1024', 50),
    "cpu_burn": ('ALERTS{service="host", signal="cpu_used_ratio"}', float(os.cpu_count() or 1)),
}


@pytest.mark.burns_error_budget
def test_each_of_the_other_faults_is_noticed(live_stack: LiveStack):
    """Six faults at once: each moves its own signal over its limit, or the series that shows it."""
    live_stack.wait_for_traffic()
    try:
        live_stack.break_demo(**{fault: value for fault, (_, value) in SIX_FAULTS.items()})
        for fault, (expression, _) in SIX_FAULTS.items():
            wait_for(lambda expression=expression: live_stack.query(expression), f"the signal of {fault}")
    finally:
        live_stack.heal_demo()
