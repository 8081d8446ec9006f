"""Whatever is sent, a channel answers, and what it takes can be shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_inbox import mail, pagerduty, slack
from perfloop_inbox.replies import Accepted, Refusal

SLACK_KEYS = ["text", "attachments", "blocks", "fields", "title", "value", "color", "fallback"]
PAGERDUTY_KEYS = ["routing_key", "event_action", "payload", "summary", "source", "severity", "custom_details", "links"]
KEYS = st.sampled_from(SLACK_KEYS + PAGERDUTY_KEYS)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=30) | st.sampled_from(
    ["trigger", "resolve", "critical", "0" * 32, "good", "[FIRING:1] A", "http://a"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | TEXTS, inner, max_size=8),
    max_leaves=25,
)
PATH = "T00000000/B00000000/secretToken1"


def _check(reply: Accepted | Refusal) -> None:
    shown: Any = [reply.payload, reply.text, reply.facts.alertname] if isinstance(reply, Accepted) else reply.body
    assert json.dumps(shown, ensure_ascii=False, allow_nan=False).encode()


@given(VALUES)
@settings(deadline=None)
def test_any_json(value: Any):
    """Slack and PagerDuty accept or reject any JSON; none is an error of the inbox."""
    body = json.dumps(value).encode()
    _check(slack.receive(PATH, "application/json", body))
    _check(pagerduty.receive(body))


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes(body: bytes):
    """Any bytes at all are taken or refused by every channel."""
    _check(slack.receive(PATH, "application/json", body))
    _check(pagerduty.receive(body))
    _check(mail.receive(b"From: a@b.org\r\nDate: today\r\n" + body, []))


@pytest.mark.parametrize("text", ['"\\ud800"', "NaN", "Infinity", "1e999", "1" * 5000])
def test_values_that_cannot_be_shown(text: str):
    """Half characters and numbers beyond numbers are no JSON."""
    assert slack.receive(PATH, "application/json", f'{{"text": {text}}}'.encode()) == Refusal(400, "invalid_payload")
