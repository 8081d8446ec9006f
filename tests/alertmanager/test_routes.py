"""Who is notified: every severity of every service, by the real amtool."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ("demo", "host", "shop", "analyzer", "inbox", "prometheus", "alertmanager", "grafana", "loadgen", "")
RECEIVERS = {
    "critical": "pagerduty,email,slack",
    "warning": "slack",
    "info": "dashboards",
    "none": "dashboards",
    # A severity that nobody thought of is shown rather than lost.
    "": "slack",
    "catastrophic": "slack",
}


def route(amtool: str, config: Path, receivers: str, **labels: str) -> subprocess.CompletedProcess[str]:
    """Ask amtool whether these labels reach these receivers."""
    pairs = [f"{name}={value}" for name, value in labels.items() if value]
    command = [amtool, "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receivers}", *pairs]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("severity", RECEIVERS)
def test_severity_decides_who_is_notified_whatever_the_service(amtool: str, config: Path, severity: str, service: str):
    """Critical goes to PagerDuty, e-mail and Slack; warning to Slack; information to nobody."""
    done = route(amtool, config, RECEIVERS[severity], alertname="Anything", severity=severity, service=service)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_heartbeat_goes_to_its_own_receiver_alone(amtool: str, config: Path):
    """The Watchdog never reaches a person."""
    assert route(amtool, config, "heartbeat", alertname="Watchdog", severity="none").returncode == 0


@pytest.mark.parametrize("channel", ["slack", "email", "pagerduty", "heartbeat"])
def test_a_test_notification_reaches_the_channel_that_it_names(amtool: str, config: Path, channel: str):
    """`perfloop doctor --send-test` tries one channel at a time."""
    done = route(amtool, config, channel, alertname="PerfloopTest", severity="critical", channel=channel)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_of_the_rules_reaches_who_its_severity_names(amtool: str, config: Path, checkout: Path):
    """No route catches a shipped alert by accident."""
    rules = [
        rule
        for file in sorted((checkout / "prometheus" / "alerts").glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if rule["alert"] != "Watchdog"
    ]
    seen = {(rule["alert"], rule["labels"]["severity"]): rule["labels"] for rule in rules}
    wrong = [
        key
        for key, labels in seen.items()
        if route(amtool, config, RECEIVERS[key[1]], alertname=key[0], service="demo", **labels).returncode
    ]
    assert wrong == []


def test_configuration_is_clean(amtool: str, config: Path):
    """`amtool check-config` reports nothing."""
    done = subprocess.run([amtool, "check-config", str(config)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_channel_notifies_when_it_is_over(config: Path):
    """Slack's and e-mail's default is not to: each must ask for it."""
    receivers = yaml.safe_load(config.read_text())["receivers"]
    silent = [
        receiver["name"]
        for receiver in receivers
        for kind in ("slack_configs", "email_configs", "pagerduty_configs")
        for channel in receiver.get(kind, [])
        if channel.get("send_resolved") is not True
    ]
    assert silent == []
