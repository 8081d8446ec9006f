"""Slack's incoming webhooks: check a payload and respond as the real service does.

Statuses and strings: https://api.slack.com/changelog/2016-05-17-changes-to-errors-for-incoming-webhooks and
https://api.slack.com/messaging/webhooks (handling errors); 40,000 characters of text:
https://api.slack.com/changelog/2018-04-truncating-really-long-messages; 100 attachments, 50 blocks: its message page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from perfloop_inbox.facts import first_known, parse_pairs, parse_prose
from perfloop_inbox.messages import Facts
from perfloop_inbox.replies import Accepted, Refusal, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BODY_BYTES = 1024 * 1024
TOO_LARGE = Refusal(413, "payload_too_large")
# The body of each status that a fault can select.
FAULT_BODIES = {
    400: "invalid_payload",
    403: "action_prohibited",
    404: "no_service",
    410: "channel_is_archived",
    413: "payload_too_large",
    429: "rate_limited",
    500: "rollup_error",
}

_MAX_TEXT = 40_000
_MAX_ATTACHMENTS = 100
_MAX_BLOCKS = 50
# The parts of a webhook's path. Slack's own tokens have 24 characters; shorter ones are accepted here for tests.
_TEAM = re.compile(r"T[A-Z0-9]{2,}")
_SERVICE = re.compile(r"B[A-Z0-9]{2,}")
_TOKEN = re.compile(r"[A-Za-z0-9]{8,}")
_COLORS = {"danger": Facts(status="firing"), "warning": Facts(status="firing"), "good": Facts(status="resolved")}


def receive(path: str, content_type: str, body: bytes) -> Accepted | Refusal:
    """Check one POST to a webhook's path, `T…/B…/token`."""
    refusal = _check_path(path)
    if refusal:
        return refusal
    payload = _parse_payload(content_type, body)
    if payload is None:
        return Refusal(400, "invalid_payload")
    refusal = _check_payload(payload)
    if refusal:
        return refusal
    text = "\n".join(_lines(payload))
    return Accepted(_read_facts(payload, text), text, payload, "ok")


def _check_path(path: str) -> Refusal | None:
    parts = path.split("/")
    rules = (
        (_TEAM, Refusal(404, "no_team")),
        (_SERVICE, Refusal(404, "no_service")),
        (_TOKEN, Refusal(403, "invalid_token")),
    )
    if len(parts) != len(rules):
        return Refusal(404, "no_service")
    return next((refusal for part, (rule, refusal) in zip(parts, rules, strict=True) if not rule.fullmatch(part)), None)


def _parse_payload(content_type: str, body: bytes) -> dict[str, Any] | None:
    kind = content_type.split(";", maxsplit=1)[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        form = parse_qs(body.decode("utf-8", "replace"))
        body = form.get("payload", [""])[0].encode()
    elif kind != "application/json":
        return None
    value = parse_json(body)
    return value if isinstance(value, dict) else None


def _check_payload(payload: dict[str, Any]) -> Refusal | None:
    text, attachments, blocks = payload.get("text"), payload.get("attachments"), payload.get("blocks")
    checks = (
        (text is not None and not isinstance(text, str), "invalid_payload"),
        (attachments is not None and not _is_list_of_objects(attachments), "invalid_attachments"),
        (_length(attachments) > _MAX_ATTACHMENTS, "too_many_attachments"),
        (blocks is not None and not _is_list_of_objects(blocks), "invalid_blocks_format"),
        (_length(blocks) > _MAX_BLOCKS, "invalid_blocks"),
    )
    error = next((word for wrong, word in checks if wrong), None)
    if error is None and not (text or blocks or any(map(_has_content, attachments or []))):
        error = "no_text"
    return Refusal(400, error) if error else None


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def _has_content(attachment: dict[str, Any]) -> bool:
    return any(attachment.get(key) for key in ("text", "fallback", "title", "pretext", "fields", "blocks", "image_url"))


def _lines(payload: dict[str, Any]) -> Iterator[str]:
    """Yield the visible text, in the order in which Slack shows it."""
    if payload.get("text"):
        yield payload["text"][:_MAX_TEXT]
    yield from _block_lines(payload)
    for attachment in payload.get("attachments") or []:
        shown = [str(attachment[key]) for key in ("pretext", "title", "text") if attachment.get(key)]
        yield from shown or [str(attachment.get("fallback", ""))]
        yield from (f"{title}: {value}" for title, value in _fields(attachment).items())
        yield from _block_lines(attachment)


def _block_lines(holder: dict[str, Any]) -> Iterator[str]:
    for block in holder.get("blocks") or []:
        text = block.get("text") if isinstance(block, dict) else None
        if isinstance(text, dict) and isinstance(text.get("text"), str):
            yield text["text"]


def _fields(attachment: dict[str, Any]) -> dict[str, str]:
    fields = attachment.get("fields")
    pairs = [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []
    return {str(field.get("title", "")): str(field.get("value", "")) for field in pairs}


def _read_facts(payload: dict[str, Any], text: str) -> Facts:
    attachments = payload.get("attachments") or []
    sources = [parse_pairs(_fields(attachment)) for attachment in attachments]
    # Alertmanager's configuration puts the alert's name and its service there.
    sources.extend(Facts(service=str(one.get("callback_id", "")).partition(".")[2]) for one in attachments)
    sources.append(parse_prose(text))
    sources.extend(parse_prose(str(attachment.get("fallback", ""))) for attachment in attachments)
    sources.extend(_COLORS.get(str(attachment.get("color")), Facts()) for attachment in attachments)
    return first_known(*sources)
