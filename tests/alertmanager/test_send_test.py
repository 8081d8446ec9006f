"""`perfloop doctor --send-test`: one notification through every channel, and what came back."""

from __future__ import annotations

from pathlib import Path

import pytest
from alerting_chain import Chain, free_port

from perfloop.stack.errors import StackError
from perfloop.stack.send_test import Answer, send_test


def test_every_channel_delivers_to_the_inbox(chain: Chain, tmp_path: Path):
    """Without secrets the inbox is asked, and it has all three."""
    answers = send_test(
        alertmanager_url=chain.urls["alertmanager"], inbox_url=chain.urls["inbox"], secrets_dir=tmp_path / "none"
    )
    assert [(answer.channel, answer.delivered) for answer in answers] == [
        ("slack", True),
        ("email", True),
        ("pagerduty", True),
    ]


def test_a_channel_that_fails_is_named_with_what_was_refused(chain: Chain, tmp_path: Path):
    """The others are still told apart from it."""
    chain.break_channel(slack=500)
    answers = send_test(
        alertmanager_url=chain.urls["alertmanager"],
        inbox_url=chain.urls["inbox"],
        secrets_dir=tmp_path / "none",
        patience_seconds=3,
    )
    by_channel = {answer.channel: answer for answer in answers}
    assert (by_channel["slack"].delivered, by_channel["email"].delivered) == (False, True)
    assert "refused" in by_channel["slack"].finding


def test_a_real_service_is_judged_by_alertmanagers_own_count(chain: Chain, tmp_path: Path):
    """With a secret present the inbox cannot know; Alertmanager counts requests and refusals."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "slack_api_url").write_text("https://hooks.slack.com/services/T/B/x")
    answers = send_test(
        alertmanager_url=chain.urls["alertmanager"], inbox_url=chain.urls["inbox"], secrets_dir=tmp_path / "real"
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
