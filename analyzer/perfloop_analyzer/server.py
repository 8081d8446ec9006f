"""The HTTP face: metrics, health checks, the JSON API with its OpenAPI text, and the page at `/`."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from perfloop_analyzer.errors import NotFoundError, StoreError, TransitionError
from perfloop_analyzer.recommend.recommendation import OWN_STEPS, STATES, STEPS
from perfloop_analyzer.reporters.html import Record, render_page, render_report
from perfloop_analyzer.reporters.metrics import Published, ResultCollector

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_analyzer.ports import Store

T = TypeVar("T")

router = APIRouter()
api = APIRouter(prefix="/api/v1")
REPORT_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What the handlers work with."""

    published: Published
    store: Store
    token: str | None
    registry: CollectorRegistry
    clock: Callable[[], float]


def build_web(published: Published, store: Store, token: str | None, clock: Callable[[], float] = time.time) -> FastAPI:
    """Put the routes together."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ResultCollector(published))
    web = FastAPI(
        title="Perfloop analyzer", description="What is wrong, and what to do.", docs_url=None, redoc_url=None
    )
    web.state.desk = Desk(published, store, token, registry, clock)
    web.include_router(router)
    web.include_router(api)
    return web


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


At = Annotated[Desk, Depends(_desk)]


@router.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
def metrics(desk: At) -> Response:
    """Return the metrics that Prometheus scrapes."""
    return Response(generate_latest(desk.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/-/healthy", response_class=PlainTextResponse, include_in_schema=False)
async def healthy() -> str:
    """Say that the process answers."""
    return "Analyzer is healthy.\n"


@router.get("/-/ready", response_class=PlainTextResponse, include_in_schema=False)
async def ready(desk: At) -> Response:
    """Say whether a first result is there."""
    if desk.published.result is None:
        return PlainTextResponse("No cycle has ended well yet.\n", status_code=503)
    return PlainTextResponse("Analyzer is ready.\n")


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
def page(desk: At) -> str:
    """Show the state of things to a person."""
    return render_page(desk.published, desk.clock())


@router.get("/report", response_class=HTMLResponse, include_in_schema=False)
def report(desk: At) -> str:
    """Return the report of the newest result, one self-contained page."""
    result = desk.published.result
    if result is None:
        raise HTTPException(503, "no cycle has ended well yet")
    past = _stored(lambda: desk.store.findings(result.at - REPORT_SECONDS))
    return render_report(result, desk.published.batches, Record(past, _stored(desk.store.recommendations)))


def _latest(desk: Desk) -> dict[str, Any]:
    if desk.published.result is None:
        raise HTTPException(503, "no cycle has ended well yet")
    return desk.published.result.as_dict() | {"age_seconds": desk.clock() - desk.published.result.at}


@api.get("/health")
def health(desk: At) -> dict[str, Any]:
    """Return the score of each service and of the whole, with the penalties that make it."""
    latest = _latest(desk)
    return {key: latest[key] for key in ("at", "age_seconds", "health", "failures")}


@api.get("/findings")
def findings(desk: At) -> dict[str, Any]:
    """Return what the detectors found in the last good cycle."""
    latest = _latest(desk)
    return {key: latest[key] for key in ("at", "age_seconds", "findings")}


@api.get("/incidents")
def incidents(desk: At) -> dict[str, Any]:
    """Return the findings that belong together, causes ranked."""
    latest = _latest(desk)
    return {key: latest[key] for key in ("at", "age_seconds", "incidents")}


@api.get("/recommendations")
def recommendations(desk: At, state: str | None = None, *, standing: bool = False) -> list[dict[str, Any]]:
    """Return the recommendations that are remembered, newest first; or those that stand now, most urgent first."""
    if standing:
        made: list[dict[str, Any]] = _latest(desk)["recommendations"]
        return [one for one in made if state in (None, one["state"])]
    if state is not None and state not in STATES:
        raise HTTPException(422, f"state has value '{state}': it is one of {', '.join(sorted(STATES))}")
    return [made.as_dict() for made in _stored(lambda: desk.store.recommendations(state))]


@api.get("/recommendations/{identifier}")
def recommendation(desk: At, identifier: str) -> dict[str, Any]:
    """Return one recommendation with every step of its life."""
    for made in _stored(desk.store.recommendations):
        if made.id == identifier:
            return made.as_dict() | {"events": list(_stored(lambda: desk.store.events(identifier)))}
    raise HTTPException(404, f"no recommendation has the id '{identifier}'")


def _signed_in(request: Request) -> None:
    token = _desk(request).token
    if token is None:
        raise HTTPException(403, "no token is set: start the analyzer with --web.token-file to allow changes")
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


@api.post("/recommendations/{identifier}/{step}", dependencies=[Depends(_signed_in)])
def transition(desk: At, identifier: str, step: str) -> dict[str, Any]:
    """Move a recommendation on: accept, implement, dismiss or reopen."""
    if step not in STEPS or step in OWN_STEPS:
        raise HTTPException(404, f"'{step}' is no step: it is one of accept, implement, dismiss, reopen")
    try:
        return _stored(lambda: desk.store.transition(identifier, step, desk.clock())).as_dict()
    except TransitionError as error:
        raise HTTPException(409, str(error)) from error
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from error


def _stored(read: Callable[[], T]) -> T:
    try:
        return read()
    except StoreError as error:
        raise HTTPException(503, str(error)) from error
