"""The HTTP channels: Slack's incoming webhook, PagerDuty's enqueue, the heartbeat, and Alertmanager's reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from perfloop_inbox import pagerduty, slack
from perfloop_inbox.replies import Accepted, Refusal, parse_json

if TYPE_CHECKING:
    from perfloop_inbox.inbox import Inbox

router = APIRouter()

_MAX_HEARTBEAT_BYTES = 1024 * 1024
# A group of thousands of alerts with long texts.
_MAX_REPORT_BYTES = 16 * 1024 * 1024
# Seconds after which a client that was limited may try again.
_RETRY_AFTER = {"Retry-After": "1"}
_TOO_MANY_REQUESTS = 429


async def read_body(request: Request, limit_bytes: int) -> bytes | None:
    """Return the body, or None as soon as it is longer than the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            return None
    return bytes(body)


@router.post("/slack/services/{path:path}")
async def receive_slack(path: str, request: Request) -> Response:
    """Receive a message as https://hooks.slack.com/services/T…/B…/… would."""
    inbox: Inbox = request.app.state.inbox
    body = await read_body(request, slack.MAX_BODY_BYTES)
    # The fault comes after the body is read: a client that is still sending would see a broken connection instead.
    fault = inbox.faults.get("slack")
    if fault:
        reply: Accepted | Refusal = Refusal(fault, slack.FAULT_BODIES.get(fault, "service_fault"))
    elif body is None:
        reply = slack.TOO_LARGE
    else:
        reply = slack.receive(path, request.headers.get("content-type", ""), body)
    inbox.deliver("slack", reply, len(body or b""))
    status = reply.status if isinstance(reply, Refusal) else 200
    return PlainTextResponse(str(reply.body), status, _headers(status))


@router.post("/v2/enqueue")
async def receive_pagerduty(request: Request) -> Response:
    """Receive an event as https://events.pagerduty.com/v2/enqueue would."""
    inbox: Inbox = request.app.state.inbox
    body = await read_body(request, pagerduty.MAX_BODY_BYTES)
    fault = inbox.faults.get("pagerduty")
    if fault:
        reply: Accepted | Refusal = pagerduty.fault(fault)
    elif body is None:
        reply = pagerduty.TOO_LARGE
    else:
        reply = pagerduty.receive(body)
    inbox.deliver("pagerduty", reply, len(body or b""))
    status = reply.status if isinstance(reply, Refusal) else 202
    return JSONResponse(reply.body, status, _headers(status))


@router.post("/heartbeat")
async def receive_heartbeat(request: Request) -> Response:
    """Receive the dead man's switch: Alertmanager's webhook, or any body."""
    inbox: Inbox = request.app.state.inbox
    body = await read_body(request, _MAX_HEARTBEAT_BYTES)
    if body is None:
        return JSONResponse({"detail": f"The heartbeat is longer than {_MAX_HEARTBEAT_BYTES} bytes."}, 413)
    payload: Any = parse_json(body)
    inbox.record_heartbeat(payload)
    return JSONResponse({"status": "ok"})


@router.post("/notifications")
async def receive_report(request: Request) -> Response:
    """Receive Alertmanager's report of what one of its receivers was sent."""
    inbox: Inbox = request.app.state.inbox
    body = await read_body(request, _MAX_REPORT_BYTES)
    if body is None:
        return JSONResponse({"detail": f"The report is longer than {_MAX_REPORT_BYTES} bytes."}, 413)
    report = parse_json(body)
    if not isinstance(report, dict):
        return JSONResponse({"detail": "The report must be a JSON object."}, 422)
    return JSONResponse({"alerts": inbox.record_notification(report)})


@router.post("/events")
async def receive_event(request: Request) -> Response:
    """Receive an event of Alertmanager's recorder, or a list of them."""
    inbox: Inbox = request.app.state.inbox
    body = await read_body(request, _MAX_REPORT_BYTES)
    if body is None:
        return JSONResponse({"detail": f"The event is longer than {_MAX_REPORT_BYTES} bytes."}, 413)
    events = parse_json(body)
    return JSONResponse({"alerts": sum(map(inbox.record_event, events if isinstance(events, list) else [events]))})


def _headers(status: int) -> dict[str, str] | None:
    return _RETRY_AFTER if status == _TOO_MANY_REQUESTS else None
