"""Each way in which a killed process loses a page or an all-clear, with the real programs: nothing is lost.

What a kill leaves to chance is done by hand: the log of notifications is removed, or an older one put in its place.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.alerting_chain import (
    Chain,
    address_of,
    binary,
    launch,
    quicker,
    serve,
    start_alertmanagers,
    start_inbox,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = {"slack", "email", "pagerduty"}
# Half a minute is what the shipped waits at a fifth may need, and a busy machine as much again.
PATIENCE_SECONDS = 75.0
RULES = """
groups:
  - name: test
    interval: 1s
    rules:
      - alert: Watchdog
        expr: vector(1)
        labels: {severity: none, service: prometheus}
      - alert: Broken
        expr: broken == 1
        labels: {severity: critical, service: shop}
        annotations: {summary: It is broken}
"""


def start_prometheus(chain: Chain, port: int) -> None:
    """Start a Prometheus with one alert on a gauge, which evaluates each second."""
    directory = chain.directory / "prometheus"
    directory.mkdir()
    (directory / "rules.yml").write_text(RULES)
    target = chain.urls["alertmanager"].removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [target]}]}]},
        "scrape_configs": [{"job_name": "test", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))
    flags = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={chain.directory / 'data'}"]
    flags += [f"--web.listen-address={address_of(chain, 'prometheus')}", "--rules.alert.resend-delay=15s"]
    launch(chain, "prometheus", [binary("prometheus"), *flags])


@pytest.fixture
def watched(bare_chain: Chain, prometheus_binary: str) -> Iterator[Chain]:
    """The whole way of an alert, with the inbox watching over it."""
    del prometheus_binary
    bare_chain.service.gauges = {"broken": 0.0}
    with serve(bare_chain.service) as port:
        start_inbox(bare_chain, watching=True)
        start_alertmanagers(bare_chain, rewrite=quicker)
        start_prometheus(bare_chain, port)
        try:
            yield bare_chain
        finally:
            bare_chain.stop()


def set_broken(chain: Chain, *, broken: bool) -> None:
    """Let the alert fire, or end."""
    chain.service.gauges = {"broken": float(broken)}


def wait_everywhere(chain: Chain, status: str, count: int = 1) -> None:
    """Wait until so many messages of a status have come by every channel."""

    def arrived() -> bool:
        found = [message["channel"] for message in chain.messages(alertname="Broken", status=status)]
        return all(found.count(channel) >= count for channel in CHANNELS)

    wait_until(arrived, what=f"{count} {status} on every channel", seconds=PATIENCE_SECONDS)


def wait_for_series(chain: Chain, *, firing: bool) -> None:
    """Wait until Prometheus says that the alert fires, or that it does not."""
    wait_until(lambda: bool(chain.query('ALERTS{alertname="Broken"}')) is firing, what="the alert", seconds=30)


def count(chain: Chain, status: str) -> int:
    """How many messages of a status have come by Slack."""
    return len(chain.messages(alertname="Broken", status=status, channel="slack"))


def test_alertmanager_and_prometheus_killed_while_an_alert_fires(watched: Chain):
    """It ends meanwhile: the all-clear comes, and so does the page of the next incident of the same kind."""
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing")
    watched.processes["alertmanager"].stop(signal.SIGKILL)
    watched.processes["prometheus"].stop(signal.SIGKILL)
    set_broken(watched, broken=False)
    watched.processes["prometheus"].start()
    watched.processes["alertmanager"].start()
    wait_everywhere(watched, "resolved")
    pages = count(watched, "firing")
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing", pages + 1)


def test_alertmanager_killed_before_it_wrote_what_it_sent(watched: Chain):
    """Its log does not have the page: it would never send the all-clear."""
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing")
    watched.processes["alertmanager"].stop(signal.SIGKILL)
    (watched.directory / "data-alertmanager" / "nflog").unlink(missing_ok=True)
    set_broken(watched, broken=False)
    wait_for_series(watched, firing=False)
    watched.processes["alertmanager"].start()
    wait_everywhere(watched, "resolved")


def test_alertmanager_killed_before_it_wrote_the_all_clear(watched: Chain):
    """Its log still says that the page was sent: it would swallow the next one."""
    log = watched.directory / "data-alertmanager" / "nflog"
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing")
    wait_until(log.exists, what="the log of notifications", seconds=10)
    wait_until(lambda: log.stat().st_size > 0, what="a line of it", seconds=10)
    old = shutil.copy(log, watched.directory / "old")
    set_broken(watched, broken=False)
    wait_everywhere(watched, "resolved")
    watched.processes["alertmanager"].stop(signal.SIGKILL)
    shutil.copy(old, log)
    set_broken(watched, broken=True)
    wait_for_series(watched, firing=True)
    watched.processes["alertmanager"].start()
    wait_everywhere(watched, "firing", 2)


def test_an_incident_while_alertmanager_and_the_inbox_are_down(watched: Chain):
    """It comes and goes unseen: Prometheus's series has it, and both messages come; the inbox has the old ones too."""
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing")
    set_broken(watched, broken=False)
    wait_everywhere(watched, "resolved")
    before = {message["id"] for message in watched.messages()}
    for name in ("alertmanager", "inbox"):
        watched.processes[name].stop(signal.SIGKILL)
    set_broken(watched, broken=True)
    wait_for_series(watched, firing=True)
    set_broken(watched, broken=False)
    wait_for_series(watched, firing=False)
    watched.processes["inbox"].start()
    watched.processes["alertmanager"].start()
    assert before <= {message["id"] for message in watched.messages()}
    wait_everywhere(watched, "firing", 2)
    wait_everywhere(watched, "resolved", 2)


def test_without_kills_everything_comes_once(watched: Chain):
    """The watch adds no message of its own."""
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing")
    set_broken(watched, broken=False)
    wait_everywhere(watched, "resolved")
    assert (len(watched.messages(status="firing")), len(watched.messages(status="resolved"))) == (3, 3)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes two minutes: set PERFLOOP_LONG_TESTS=1")
def test_a_frozen_prometheus_is_reported_and_what_fires_is_held(watched: Chain):
    """After a minute every channel hears of it; the alert that fires is not declared over; then comes the all-clear."""
    set_broken(watched, broken=True)
    wait_everywhere(watched, "firing")
    process = watched.processes["prometheus"].popen
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        for channel in CHANNELS:
            watched.wait_message(seconds=150, channel=channel, alertname="MonitoringSilent")
        assert count(watched, "resolved") == 0
    finally:
        process.send_signal(signal.SIGCONT)
    for channel in CHANNELS:
        watched.wait_message(seconds=90, channel=channel, alertname="MonitoringSilent", status="resolved")
    assert count(watched, "resolved") == 0
