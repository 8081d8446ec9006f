from __future__ import annotations

import json
from typing import Any

import pytest

from perfloop_inbox import pagerduty
from perfloop_inbox.messages import Facts
from perfloop_inbox.replies import Accepted, Refusal

KEY = "0123456789abcdef0123456789abcdef"


def _build_event(**changes: Any) -> dict[str, Any]:
    payload = {"summary": "[FIRING:1] SlowQueries demo", "source": "demo", "severity": "critical"}
    return {"routing_key": KEY, "event_action": "trigger", "dedup_key": "d1", "payload": payload, **changes}


def _receive(event: object) -> Accepted | Refusal:
    return pagerduty.receive(json.dumps(event).encode())


def _find_errors(event: object) -> list[str]:
    reply = _receive(event)
    assert isinstance(reply, Refusal)
    assert isinstance(reply.body, dict)
    assert reply.status == 400
    assert (reply.body["status"], reply.body["message"]) == ("invalid event", "Event object is invalid")
    return list(reply.body["errors"])


def test_accepted_answer():
    """A good event is answered with its own dedup key."""
    reply = _receive(_build_event())
    assert isinstance(reply, Accepted)
    assert reply.body == {"status": "success", "message": "Event processed", "dedup_key": "d1"}


def test_dedup_key_is_made_up_when_absent():
    """A trigger without a key gets one, and it is kept with the message."""
    reply = _receive(_build_event(dedup_key=None))
    assert isinstance(reply, Accepted)
    assert isinstance(reply.body, dict)
    assert reply.body["dedup_key"] == reply.payload["dedup_key"] != ""


def test_routing_key_is_not_kept():
    """The key is a secret: the inbox shows its last four characters only."""
    reply = _receive(_build_event())
    assert isinstance(reply, Accepted)
    assert KEY not in json.dumps(reply.payload)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"routing_key": ""}, "'routing_key' is missing or blank"),
        ({"routing_key": 7}, "'routing_key' is missing or blank"),
        ({"routing_key": KEY[1:]}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"routing_key": "-" * 32}, "'routing_key' cannot contain non-alphanumeric characters."),
        ({"event_action": None}, "'event_action' is missing or blank"),
        (
            {"event_action": "create"},
            "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
        ),
        ({"event_action": "resolve", "dedup_key": ""}, "'dedup_key' is missing or blank"),
        ({"dedup_key": "d" * 256}, "'dedup_key' is too long (maximum is 255 characters)"),
        ({"dedup_key": 7}, "'dedup_key' must be a string"),
        ({"links": ["http://demo"]}, "'links' must be an array of objects"),
        ({"payload": None}, "'payload' is missing or blank"),
        ({"payload": "down"}, "'payload' is missing or blank"),
    ],
)
def test_bad_event(changes: dict[str, Any], error: str):
    """Each broken rule is named in the list of errors."""
    assert error in _find_errors(_build_event(**changes))


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("summary", "", "'payload.summary' is missing or blank"),
        ("summary", "s" * 1025, "'payload.summary' is too long (maximum is 1024 characters)"),
        ("source", "  ", "'payload.source' is missing or blank"),
        ("severity", None, "'payload.severity' is missing or blank"),
        (
            "severity",
            "page",
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        ),
    ],
)
def test_bad_payload(name: str, value: object, error: str):
    """A trigger needs a summary, a source and one of four severities."""
    event = _build_event()
    event["payload"][name] = value
    assert [error] == _find_errors(event)


def test_all_errors_together():
    """One response lists every problem of an event."""
    assert len(_find_errors({"event_action": "trigger", "payload": {}})) == 4


def test_unhashable_action():
    """An action that is an object is an error like any other."""
    assert _find_errors(_build_event(event_action={})) == ["'event_action' is missing or blank"]
    assert len(_find_errors(_build_event(event_action=["trigger"]))) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff"])
def test_body_that_is_no_object(body: bytes):
    """What is no JSON object is an unrecognized one."""
    reply = pagerduty.receive(body)
    assert isinstance(reply, Refusal)
    assert isinstance(reply.body, dict)
    assert (reply.status, reply.body["errors"]) == (400, ["JSON parse error"])


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        (_build_event(), Facts("SlowQueries", "critical", "firing")),
        (_build_event(event_action="resolve"), Facts("SlowQueries", "critical", "resolved")),
        (_build_event(event_action="acknowledge", payload=None), Facts("", "", "acknowledged")),
    ],
)
def test_facts(event: dict[str, Any], facts: Facts):
    """The action is the status; the name comes from the title when nothing names it better."""
    reply = _receive(event)
    assert isinstance(reply, Accepted)
    assert facts == reply.facts


def test_custom_details_name_the_alert():
    """Machine-readable details win over the summary."""
    event = _build_event()
    event["payload"] |= {"custom_details": {"alertname": "PoolExhausted"}, "class": "other"}
    reply = _receive(event)
    assert isinstance(reply, Accepted)
    assert reply.facts.alertname == "PoolExhausted"
