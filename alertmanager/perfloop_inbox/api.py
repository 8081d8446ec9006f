"""The JSON API: messages, heartbeats, faults; and the endpoints that every program has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field

from perfloop_base.errors import ConfigError
from perfloop_base.web.headers import POLICY
from perfloop_inbox import messages
from perfloop_inbox.channels import read_body
from perfloop_inbox.page import PAGE_POLICY, render_page
from perfloop_inbox.replies import parse_json

if TYPE_CHECKING:
    from perfloop_inbox.inbox import Inbox

router = APIRouter()

# A request names at most three channels: a longer body is a mistake and must not fill the memory.
_MAX_FAULTS_BYTES = 64 * 1024
# Everything that the mailbox stores.
_MAX_LISTED = 1000
# The page fetches itself again every few seconds, so it must stay small.
_SHOWN_ON_PAGE = 100


class Filters(BaseModel):
    """The query parameters of `GET /api/messages`; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid")

    channel: messages.Channel | None = None
    status: messages.Status | None = None
    alertname: str | None = None
    severity: str | None = None
    limit: int = Field(_MAX_LISTED, ge=1, le=_MAX_LISTED)


@router.get("/api/messages")
async def list_messages(request: Request, filters: Annotated[Filters, Query()]) -> list[dict[str, Any]]:
    """Return the messages, newest first."""
    inbox: Inbox = request.app.state.inbox
    query = messages.Query(**filters.model_dump(exclude={"limit"}))
    return [message.to_dict() for message in inbox.mailbox.find(query, filters.limit)]


@router.delete("/api/messages")
async def delete_messages(request: Request) -> dict[str, int]:
    """Delete every message."""
    inbox: Inbox = request.app.state.inbox
    return {"deleted": inbox.mailbox.clear()}


@router.get("/api/heartbeats")
async def list_heartbeats(request: Request) -> list[dict[str, Any]]:
    """Return the last heartbeats, newest first."""
    inbox: Inbox = request.app.state.inbox
    return list(reversed(inbox.heartbeats))


@router.get("/faults")
async def get_faults(request: Request) -> dict[str, int]:
    """Return the channels with an injected fault, with the status that each responds with."""
    inbox: Inbox = request.app.state.inbox
    return inbox.faults.to_dict()


@router.put("/faults")
async def put_faults(request: Request) -> dict[str, int]:
    """Make channels respond with a status, for example `{"slack": 500}`; 200 ends the fault of a channel."""
    inbox: Inbox = request.app.state.inbox
    body = await read_body(request, _MAX_FAULTS_BYTES)
    if body is None:
        raise ConfigError(f"The body is longer than {_MAX_FAULTS_BYTES} bytes.")
    inbox.faults.update(parse_json(body))
    return inbox.faults.to_dict()


@router.delete("/faults")
async def delete_faults(request: Request) -> dict[str, int]:
    """End the faults of all channels."""
    inbox: Inbox = request.app.state.inbox
    inbox.faults.heal()
    return inbox.faults.to_dict()


@router.get("/metrics")
async def get_metrics(request: Request) -> Response:
    """Return the inbox's own metrics."""
    inbox: Inbox = request.app.state.inbox
    return Response(generate_latest(inbox.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/-/healthy")
async def get_healthy() -> PlainTextResponse:
    """Report that the program runs."""
    return PlainTextResponse("Healthy.\n")


@router.get("/-/ready")
async def get_ready() -> PlainTextResponse:
    """Report that the program accepts requests."""
    return PlainTextResponse("Ready.\n")


@router.get("/")
async def get_page(request: Request) -> HTMLResponse:
    """Return the page with the newest messages."""
    inbox: Inbox = request.app.state.inbox
    return HTMLResponse(render_page(inbox, _SHOWN_ON_PAGE), headers={POLICY: PAGE_POLICY})
