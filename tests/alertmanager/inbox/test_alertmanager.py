"""What a real Alertmanager sends with its own default templates is taken and understood."""

from __future__ import annotations

import socket
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.alertmanager.inbox.conftest import RunningInbox

CONFIG = """
route: {{receiver: all, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: all
    slack_configs:
      - {{api_url: "{web}/slack/services/T00000000/B00000000/secretToken1", channel: "#a", send_resolved: true}}
    pagerduty_configs:
      - {{url: "{web}/v2/enqueue", routing_key: "{key}", severity: "{{{{ .CommonLabels.severity }}}}"}}
    email_configs:
      - {{to: a@b.org, from: c@b.org, smarthost: "127.0.0.1:{smtp}", require_tls: false, send_resolved: true}}
    webhook_configs:
      - {{url: "{web}/heartbeat"}}
"""


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def alertmanager(running_inbox: RunningInbox, alertmanager_binary: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """An Alertmanager that sends everything to the inbox without a delay."""
    web = str(running_inbox.client.base_url).rstrip("/")
    config, port = tmp_path / "alertmanager.yml", _find_port()
    config.write_text(CONFIG.format(web=web, key="0" * 32, smtp=running_inbox.smtp_port))
    flags = [
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([alertmanager_binary, *flags], stderr=log, stdout=log)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}")

    def ready() -> bool:
        try:
            return client.get("/-/ready").is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(ready, "Alertmanager to be ready")
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def _send(alertmanager: httpx.Client, ends_in_seconds: float) -> None:
    now = datetime.now(tz=UTC)
    alert = {
        "labels": {"alertname": "SlowQueries", "severity": "critical", "service": "demo"},
        "annotations": {"summary": "The database is slow"},
        "startsAt": (now - timedelta(minutes=1)).isoformat(),
        "endsAt": (now + timedelta(seconds=ends_in_seconds)).isoformat(),
    }
    alertmanager.post("/api/v2/alerts", json=[alert]).raise_for_status()


def test_default_templates(alertmanager: httpx.Client, running_inbox: RunningInbox):
    """Firing and resolved arrive by every channel with the alert's name, and the heartbeat's webhook too."""

    def read(status: str) -> dict[str, str]:
        found = running_inbox.client.get("/api/messages", params={"status": status}).json()
        return {message["channel"]: message["alertname"] for message in found}

    named = dict.fromkeys(("slack", "pagerduty", "email"), "SlowQueries")
    _send(alertmanager, ends_in_seconds=60)
    wait_for(lambda: read("firing") == named, "the firing notifications")
    _send(alertmanager, ends_in_seconds=-1)
    wait_for(lambda: read("resolved") == named, "the resolved notifications")
    (page,) = running_inbox.client.get("/api/messages", params={"channel": "pagerduty", "status": "firing"}).json()
    assert page["severity"] == "critical"
    assert running_inbox.client.get("/api/heartbeats").json()[0]["payload"]["alerts"]


def test_retries_until_healed(alertmanager: httpx.Client, running_inbox: RunningInbox):
    """A channel that fails for a while gets its message when it is healed, as from the real service."""
    running_inbox.client.put("/faults", json={"slack": 500, "pagerduty": 500, "email": 451}).raise_for_status()
    _send(alertmanager, ends_in_seconds=60)

    wait_for(lambda: "status=500" in running_inbox.program.log, "the first rejection")
    assert running_inbox.client.get("/api/messages").json() == []
    running_inbox.client.delete("/faults").raise_for_status()
    wait_for(lambda: len(running_inbox.client.get("/api/messages").json()) >= 2, "the messages after the healing")
