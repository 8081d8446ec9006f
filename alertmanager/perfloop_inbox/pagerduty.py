"""PagerDuty's Events API v2: check an event and answer as the real service does.

The API's description: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/ and its schema
PagerDuty/api-schema:reference/events-v2/openapiv3.json; the wording of errors as clients have quoted it in public.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from perfloop_inbox.facts import first_known, parse_pairs, parse_prose
from perfloop_inbox.messages import Facts
from perfloop_inbox.replies import Accepted, Refusal, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_inbox.messages import Status

MAX_BODY_BYTES = 512 * 1024
TOO_LARGE = Refusal(413, {"status": "invalid event", "message": "Event object is too large (maximum is 512 KB)"})

_NOT_JSON = Refusal(
    400,
    {"status": "Unrecognized object", "message": "Event object format is unrecognized", "errors": ["JSON parse error"]},
)
_STATUS_OF_ACTION: Mapping[str, Status] = {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}
_SEVERITIES = ("critical", "warning", "error", "info")
_KEY_LENGTH = 32
_MAX_SUMMARY = 1024
_MAX_DEDUP_KEY = 255


def fault(status: int) -> Refusal:
    """Return the response of a service that fails with this status, whatever was sent."""
    message = {429: "Requests for this service are arriving too quickly. Please retry later."}.get(
        status, "Service fault"
    )
    return Refusal(status, {"status": "throttle exceeded" if status == 429 else "error", "message": message})  # noqa: PLR2004 - the status is its own name


def receive(body: bytes) -> Accepted | Refusal:
    """Check one POST to /v2/enqueue."""
    event = parse_json(body)
    if not isinstance(event, dict):
        return _NOT_JSON
    errors = list(_find_errors(event))
    if errors:
        return Refusal(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
    payload = event.get("payload") or {}
    dedup_key = event.get("dedup_key") or uuid4().hex
    answer = {"status": "success", "message": "Event processed", "dedup_key": dedup_key}
    # The key is a secret: whoever reads the inbox needs to distinguish two keys, not to use one.
    shown = {**event, "dedup_key": dedup_key, "routing_key": f"…{event['routing_key'][-4:]}"}
    return Accepted(_read_facts(event, payload), "\n".join(_lines(payload)), shown, answer)


def _find_errors(event: dict[str, Any]) -> Iterator[str]:
    yield from _find_key_errors(event)
    action = event.get("event_action")
    if not action:
        yield "'event_action' is missing or blank"
    elif action not in tuple(_STATUS_OF_ACTION):  # a tuple, because an unhashable action is a wrong one too
        yield "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"
    elif action == "trigger":
        yield from _find_payload_errors(event.get("payload"))
    elif not event.get("dedup_key"):
        yield "'dedup_key' is missing or blank"


def _find_key_errors(event: dict[str, Any]) -> Iterator[str]:
    key, dedup_key = event.get("routing_key"), event.get("dedup_key")
    if not isinstance(key, str) or not key:
        yield "'routing_key' is missing or blank"
    else:
        if len(key) != _KEY_LENGTH:
            yield f"Length of 'routing_key' is incorrect (should be {_KEY_LENGTH} characters)"
        if not re.fullmatch(r"[A-Za-z0-9]+", key):
            yield "'routing_key' cannot contain non-alphanumeric characters."
    if dedup_key is not None and not isinstance(dedup_key, str):
        yield "'dedup_key' must be a string"
    elif len(dedup_key or "") > _MAX_DEDUP_KEY:
        yield f"'dedup_key' is too long (maximum is {_MAX_DEDUP_KEY} characters)"
    yield from (
        f"'{name}' must be an array of objects" for name in ("links", "images") if not _is_list(event.get(name))
    )


def _is_list(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _find_payload_errors(payload: Any) -> Iterator[str]:
    if not isinstance(payload, dict):
        yield "'payload' is missing or blank"
        return
    for name in ("summary", "source", "severity"):
        if not isinstance(payload.get(name), str) or not payload[name].strip():
            yield f"'payload.{name}' is missing or blank"
    if len(str(payload.get("summary") or "")) > _MAX_SUMMARY:
        yield f"'payload.summary' is too long (maximum is {_MAX_SUMMARY} characters)"
    severity = payload.get("severity")
    if severity and severity not in _SEVERITIES:
        yield "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"


def _read_facts(event: dict[str, Any], payload: dict[str, Any]) -> Facts:
    sent = Facts(severity=str(payload.get("severity") or ""), status=_STATUS_OF_ACTION[event["event_action"]])
    named = Facts(alertname=str(payload.get("class") or ""))
    return first_known(sent, parse_pairs(_details(payload)), named, parse_prose(str(payload.get("summary") or "")))


def _details(payload: dict[str, Any]) -> dict[str, str]:
    details = payload.get("custom_details")
    return {str(key): str(value) for key, value in details.items()} if isinstance(details, dict) else {}


def _lines(payload: dict[str, Any]) -> Iterator[str]:
    yield str(payload.get("summary") or "")
    yield from (f"{name}: {payload[name]}" for name in ("source", "component", "group") if payload.get(name))
    yield from (f"{name}: {value}" for name, value in _details(payload).items() if value.strip())
