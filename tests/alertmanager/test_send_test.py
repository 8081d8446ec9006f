"""`perfloop doctor --send-test`: one notification through every channel, and what came back."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop.stack.errors import StackError
from perfloop.stack.send_test import Answer, send_test
from tests.support.alerting_chain import Chain, binary, free_port, quicker, start_alertmanagers, start_inbox

if TYPE_CHECKING:
    from pathlib import Path


def test_every_channel_delivers_to_the_inbox(chain: Chain, tmp_path: Path):
    """Without secrets the inbox is asked, and it has them all."""
    answers = send_test(
        alertmanager_url=chain.urls["alertmanager"],
        inbox_url=chain.urls["inbox"],
        secrets_dir=tmp_path / "none",
        patience_seconds=60,
    )
    assert [(answer.channel, answer.delivered) for answer in answers] == [
        ("slack", True),
        ("email", True),
        ("pagerduty", True),
        ("heartbeat", True),
    ]
    assert answers[-1].finding.startswith("heard by the inbox http://127.0.0.1:")


def start_with_outside_watch(chain: Chain, address: str) -> Path:
    """Start the chain with an address of heartbeats among its secrets; return their directory."""
    secrets = chain.directory / "secrets"
    secrets.mkdir()
    (secrets / "heartbeat_url").write_text(f"{address}\n")
    start_inbox(chain)
    start_alertmanagers(chain, rewrite=quicker)
    return secrets


@pytest.fixture
def newer_chain(bare_chain: Chain) -> Chain:
    """An empty chain whose Alertmanager can read an address from a file."""
    done = subprocess.run([binary("alertmanager"), "--version"], capture_output=True, text=True, check=True)
    said = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    if said and (int(said[1]), int(said[2])) < (0, 26):
        pytest.skip(f"AN ADDRESS IN A FILE NEEDS ALERTMANAGER 0.26: this is {said[0]}; PERFLOOP_TEST_BIN names another")
    return bare_chain


def test_the_heartbeat_is_heard_outside(newer_chain: Chain, tmp_path: Path):
    """With secrets/heartbeat_url a second listener hears the Watchdog, and the test says so."""
    (tmp_path / "outside").mkdir()
    outside = Chain(tmp_path / "outside")
    start_inbox(outside)
    try:
        secrets = start_with_outside_watch(newer_chain, f"{outside.urls['inbox']}/heartbeat")
        answers = send_test(
            alertmanager_url=newer_chain.urls["alertmanager"],
            inbox_url=newer_chain.urls["inbox"],
            secrets_dir=secrets,
            patience_seconds=60,
        )
        heartbeat = answers[-1]
        assert (heartbeat.channel, heartbeat.delivered) == ("heartbeat", True)
        assert heartbeat.finding.startswith("the real service took it")
        outside.wait_heartbeats(1)
        newer_chain.post_alerts({"labels": {"alertname": "Watchdog", "severity": "none", "service": "prometheus"}})
        outside.wait_heartbeats(3)
    finally:
        outside.stop()


def test_an_outside_watch_that_cannot_be_reached_is_reported(newer_chain: Chain):
    """The inbox hears the heartbeat all the same."""
    secrets = start_with_outside_watch(newer_chain, f"http://127.0.0.1:{free_port()}/ping")
    answers = send_test(
        alertmanager_url=newer_chain.urls["alertmanager"],
        inbox_url=newer_chain.urls["inbox"],
        secrets_dir=secrets,
        patience_seconds=60,
    )
    assert not answers[-1].delivered
    assert "cannot be reached" in answers[-1].finding
    assert newer_chain.wait_heartbeats(1)


def test_a_channel_that_fails_is_named_with_what_was_refused(chain: Chain, tmp_path: Path):
    """The others are still distinguished from it."""
    chain.break_channel(slack=500)
    answers = send_test(
        alertmanager_url=chain.urls["alertmanager"],
        inbox_url=chain.urls["inbox"],
        secrets_dir=tmp_path / "none",
        patience_seconds=10,
    )
    by_channel = {answer.channel: answer for answer in answers}
    assert (by_channel["slack"].delivered, by_channel["email"].delivered) == (False, True)
    assert "refused" in by_channel["slack"].finding


def test_a_real_service_is_judged_by_alertmanagers_own_count(chain: Chain, tmp_path: Path):
    """With a secret present the inbox cannot know; Alertmanager counts requests and refusals."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "slack_api_url").write_text("https://hooks.slack.com/services/T/B/x")
    answers = send_test(
        alertmanager_url=chain.urls["alertmanager"],
        inbox_url=chain.urls["inbox"],
        secrets_dir=tmp_path / "real",
        patience_seconds=60,
    )
    assert answers[0].delivered
    assert answers[0].finding.startswith("the real service took it")


def test_no_alertmanager_is_one_sentence(tmp_path: Path):
    """The address and what to do stand in it."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StackError, match=rf"Alertmanager at {nobody} does not answer.*perfloop up"):
        send_test(alertmanager_url=nobody, inbox_url=nobody, secrets_dir=tmp_path)


def test_answers_are_values():
    """The command prints them; equal answers are equal."""
    assert Answer("slack", delivered=True, finding="x") == Answer("slack", delivered=True, finding="x")
