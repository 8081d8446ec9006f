from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from perfloop_inbox import slack
from perfloop_inbox.messages import Facts
from perfloop_inbox.replies import Accepted, Refusal

PATH = "T00000000/B00000000/secretToken1"
JSON = "application/json"


def _receive(payload: object, content_type: str = JSON, path: str = PATH) -> Accepted | Refusal:
    return slack.receive(path, content_type, json.dumps(payload).encode())


@pytest.mark.parametrize(
    ("path", "refusal"),
    [
        ("T1/B00000000/secretToken1", Refusal(404, "no_team")),
        ("T00000000/C00000000/secretToken1", Refusal(404, "no_service")),
        ("T00000000/B00000000/short", Refusal(403, "invalid_token")),
        ("T00000000/B00000000", Refusal(404, "no_service")),
        ("", Refusal(404, "no_service")),
    ],
)
def test_webhook_path(path: str, refusal: Refusal):
    """A path that no webhook can have is refused in Slack's own words."""
    assert refusal == _receive({"text": "hello"}, path=path)


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ({}, "no_text"),
        ({"text": ""}, "no_text"),
        ({"attachments": []}, "no_text"),
        ({"attachments": [{"color": "good"}]}, "no_text"),
        ({"text": 7}, "invalid_payload"),
        (["text"], "invalid_payload"),
        ("text", "invalid_payload"),
        (None, "invalid_payload"),
        ({"attachments": "all"}, "invalid_attachments"),
        ({"attachments": ["one"]}, "invalid_attachments"),
        ({"attachments": [{"text": "x"}] * 101}, "too_many_attachments"),
        ({"blocks": {"type": "divider"}}, "invalid_blocks_format"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
    ],
)
def test_bad_payload(payload: object, word: str):
    """A payload Slack would not show is a 400 with Slack's word for it."""
    assert Refusal(400, word) == _receive(payload)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_body_that_is_no_json(body: bytes):
    """Bytes that are no JSON, even deeply nested ones, are an invalid payload."""
    assert Refusal(400, "invalid_payload") == slack.receive(PATH, JSON, body)


def test_form_with_a_payload_parameter():
    """The older form encoding carries the same JSON in its payload parameter."""
    body = urlencode({"payload": json.dumps({"text": "hello"})}).encode()
    reply = slack.receive(PATH, "application/x-www-form-urlencoded", body)
    assert isinstance(reply, Accepted)
    assert reply.text == "hello"


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_json_under_another_content_type(content_type: str):
    """JSON sent as if it were a form is an invalid payload, as everyone who forgot the header knows."""
    assert Refusal(400, "invalid_payload") == _receive({"text": "hello"}, content_type)


def test_accepted_answer():
    """Slack's whole answer to a good message is `ok`."""
    reply = _receive({"text": "hello"}, "application/json; charset=utf-8")
    assert isinstance(reply, Accepted)
    assert reply.body == "ok"


@pytest.mark.parametrize(
    ("attachment", "facts"),
    [
        (
            {"fields": [{"title": "Alert", "value": "*SlowQueries*"}, {"title": "Severity", "value": "critical"}]},
            Facts("SlowQueries", "critical", "unknown"),
        ),
        ({"title": "[FIRING:2] SlowQueries demo", "color": "danger"}, Facts("SlowQueries", "", "firing")),
        ({"title": "[RESOLVED] SlowQueries demo"}, Facts("SlowQueries", "", "resolved")),
        ({"text": "all clear", "color": "good"}, Facts("", "", "resolved")),
        (
            {"title": ":fire: [FIRING:1] *SlowQueries*", "text": "*Severity:* warning"},
            Facts("SlowQueries", "warning", "firing"),
        ),
        ({"text": "lunch?"}, Facts()),
    ],
)
def test_facts(attachment: dict[str, object], facts: Facts):
    """Name, severity and status come from fields, else the title, else the colour."""
    reply = _receive({"attachments": [attachment]})
    assert isinstance(reply, Accepted)
    assert facts == reply.facts


def test_text_of_blocks_and_fields():
    """The text is what Slack would show: text, blocks, then attachments with their fields."""
    block = {"type": "section", "text": {"type": "mrkdwn", "text": "from a block"}}
    attachment = {"title": "Title", "fields": [{"title": "Value", "value": "0.31 s"}]}
    reply = _receive({"text": "first", "blocks": [block], "attachments": [attachment]})
    assert isinstance(reply, Accepted)
    assert reply.text == "first\nfrom a block\nTitle\nValue: 0.31 s"
