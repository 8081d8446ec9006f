"""The tour with real services: it says where it sends, and waits for no message that the inbox cannot get."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop.stack.alertmanager_config import render
from perfloop_demo.tour.stack import Stack, outside_channels
from perfloop_demo.tour.steps import _count, _wait_for_messages
from tests.support.alerting_chain import Chain, quicker, start_alertmanagers, start_inbox
from tests.support.outside import web_service

if TYPE_CHECKING:
    from pathlib import Path

MAIL = {"smtp_smarthost": "127.0.0.1:25", "smtp_from": "perfloop@corp.test", "email_to": "root@localhost"}


@pytest.mark.parametrize(
    ("files", "outside"),
    [
        ({}, set()),
        ({"slack_api_url": "https://hooks.slack.test/1"}, {"slack"}),
        (
            {"slack_app_token": "xoxb-1", "slack_channel": "a", "pagerduty_routing_key": "0" * 32},
            {"slack", "pagerduty"},
        ),
        (MAIL | {"smtp_tls": "none", "proxy_url": "http://proxy.test:3128"}, {"email"}),
    ],
)
def test_which_channels_go_outside(checkout: Path, tmp_path: Path, files: dict[str, str], outside: set[str]):
    """As the effective configuration has them."""
    for name, value in files.items():
        (tmp_path / name).write_text(value)
    committed = (checkout / "alertmanager" / "alertmanager.yml").read_text()
    assert outside_channels(yaml.safe_load(render(committed, tmp_path, {}))) == outside


@pytest.mark.parametrize(
    ("status", "said"), [(200, "sent to the real service, which took it"), (403, "the real service refused it")]
)
def test_a_real_slack_is_counted_and_not_waited_for(tmp_path: Path, alertmanager_binary: str, status: int, said: str):
    """With a webhook of Slack the inbox gets mail and page alone, and the tour goes on."""
    del alertmanager_binary
    chain = Chain(tmp_path)
    (tmp_path / "secrets").mkdir()
    try:
        with web_service(answer={"ok": True}) as slack:
            slack.status = status
            (tmp_path / "secrets" / "slack_api_url").write_text(f"{slack.url}/services/1")
            start_inbox(chain)
            start_alertmanagers(chain, rewrite=quicker)
            with Stack(chain.urls, was_running=True) as stack:
                assert stack.find_outside() == {"slack"}
                before = _count(stack)
                chain.post_alerts({"labels": {"alertname": "A", "service": "demo", "severity": "critical"}})
                lines = _wait_for_messages(stack, "A", "firing", before)
            assert slack.bodies("/services/1")
    finally:
        chain.stop()
    assert lines["slack"].startswith(said)
    assert lines["email"].startswith("[FIRING:1] A")
