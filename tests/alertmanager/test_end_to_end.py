"""From a service's metrics to the inbox: real Prometheus, real rules, real Alertmanager."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.alerting_chain import (
    Chain,
    queries,
    quicker,
    serve,
    start_alertmanagers,
    start_inbox,
    start_prometheus,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = ("slack", "email", "pagerduty")
SINCE = 'service:alert_firing_since:timestamp_seconds{alertname="DatabaseQueryTimeHigh",severity="critical"}'
SLOW = {"alertname": "DatabaseQueryTimeHigh", "severity": "critical"}


@pytest.fixture
def whole_chain(bare_chain: Chain, prometheus_binary: str) -> Iterator[Chain]:
    """Service, Prometheus, Alertmanager and inbox, with every wait at a fifth of the committed ones."""
    with serve(bare_chain.service) as port:
        bare_chain.service.set(queries(0.004))
        start_inbox(bare_chain)
        start_alertmanagers(bare_chain, rewrite=quicker)
        resend = ("--rules.alert.resend-delay=3s",)
        start_prometheus(bare_chain, {"shop": f"127.0.0.1:{port}"}, rewrite=quicker, flags=resend)
        healthy = 'service_db:db_client_operation_duration_seconds:p95_rate1m{service="shop"} < 0.1'
        wait_until(lambda: bare_chain.query(healthy), what="a first good p95")
        yield bare_chain


def test_a_slow_database_is_notified_once_on_every_channel_and_so_is_its_end(whole_chain: Chain):
    """Grouped, its warning inhibited, with the words of the rules, and resolved under the same key."""
    chain = whole_chain
    chain.service.set(queries(0.4))
    fired = {channel: chain.wait_message(channel=channel, **SLOW) for channel in CHANNELS}
    assert "shop sqlite" in fired["slack"]["text"]
    assert "the limit is 200 ms" in fired["email"]["payload"]["text"]
    assert "/user/runbook.html#DatabaseQueryTimeHigh" in fired["pagerduty"]["payload"]["links"][0]["href"]
    assert chain.urls["prometheus"] in fired["slack"]["text"]

    chain.service.set(queries(0.004))
    ended = {channel: chain.wait_message(channel=channel, status="resolved", **SLOW) for channel in CHANNELS}
    assert ended["pagerduty"]["payload"]["dedup_key"] == fired["pagerduty"]["payload"]["dedup_key"]
    firing = [message["channel"] for message in chain.messages(status="firing", **SLOW)]
    assert sorted(firing) == sorted(CHANNELS)


def test_a_service_that_dies_is_one_message_not_many(whole_chain: Chain):
    """Slow first, then gone: the alert about slowness is silenced by the one about the death."""
    chain = whole_chain
    chain.service.down = True
    found = chain.wait_message(channel="pagerduty", status="firing")
    assert found["alertname"] == "ServiceDown"
    time.sleep(4)
    assert {message["alertname"] for message in chain.messages(status="firing")} == {"ServiceDown"}


def test_nothing_is_lost_when_alertmanager_is_killed_or_prometheus_restarted(whole_chain: Chain):
    """Killed with its notifications pending, it delivers after its return; a restart of Prometheus ends no alert.

    An Alertmanager that restarts receives everything again, in any order: a warning of it must not exist.
    """
    chain = whole_chain
    chain.break_channel(slack=500, email=500, pagerduty=500)
    chain.service.set(queries(0.4))
    firing = 'ALERTS{alertname="DatabaseQueryTimeHigh",severity="critical",alertstate="firing"}'
    wait_until(lambda: chain.query(firing), what="the alert to fire")
    time.sleep(1.5)  # past the group wait: the first attempts have failed
    chain.processes["alertmanager"].stop(signal.SIGKILL)
    chain.break_channel()
    chain.processes["alertmanager"].start()
    fired = {channel: chain.wait_message(channel=channel, **SLOW) for channel in CHANNELS}

    since = chain.query(SINCE)[0]["value"][1]
    chain.processes["prometheus"].stop()
    chain.processes["prometheus"].start()
    wait_until(lambda: chain.query(firing), what="the alert to fire after the restart")
    assert chain.messages(status="resolved", **SLOW) == []
    # Boards show since when it fires, and a restart is no new beginning.
    restarted = time.time()
    wait_until(lambda: chain.query(f"timestamp({SINCE}) > {restarted}"), what="an evaluation after the restart")
    assert chain.query(SINCE)[0]["value"][1] == since

    chain.service.set(queries(0.004))
    ended = chain.wait_message(channel="pagerduty", status="resolved", **SLOW)
    assert ended["payload"]["dedup_key"] == fired["pagerduty"]["payload"]["dedup_key"]
    assert chain.messages(alertname=SLOW["alertname"], severity="warning") == []
