"""The HTTP server: metrics, health checks, the JSON API with its OpenAPI schema, and the page at `/`."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

from perfloop_analyzer.answers import (
    CHANGE,
    READ,
    READ_ONE,
    READ_STORED,
    RECORD,
    Decision,
    Json,
    NewChange,
    NewProof,
    Page,
    shown,
)
from perfloop_analyzer.changes import read_change
from perfloop_analyzer.errors import NotFoundError, StoreError, TransitionError
from perfloop_analyzer.identifiers import IDENTIFIER
from perfloop_analyzer.pipeline.symptom import Symptom, explain_symptom
from perfloop_analyzer.recommend import with_money
from perfloop_analyzer.recommend.recommendation import EFFORT_STEPS, PEOPLES_STEPS, STATES
from perfloop_analyzer.reporters.html import PAGE_POLICY, Commands, Desk, Record, render_page, render_report
from perfloop_analyzer.reporters.metrics import LinkCollector, ResultCollector
from perfloop_analyzer.reports.pages import router as reports
from perfloop_base.web.headers import POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from perfloop_analyzer.catalog import Limit
    from perfloop_analyzer.ports import Store
    from perfloop_analyzer.published import Published
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.reports.pages import Shelf

T = TypeVar("T")

router = APIRouter()
api = APIRouter(prefix="/api/v1")
REPORT_SECONDS = 7 * 86_400.0


NO_RESULT = "no cycle has succeeded yet"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the server needs to know besides the results.

    Attributes:
        token: The bearer token for changes; None allows none.
        commands: The commands that the page shows.
        thresholds_file: Where the limits come from; empty for the catalogue alone.
        links: Where a browser reaches the other programs, by program.
        token_place: Where the token is, for whoever is asked for it.
    """

    token: str | None = None
    commands: Commands = field(default_factory=lambda: Commands(enabled=False))
    thresholds_file: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    token_place: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What the handlers work with."""

    published: Published
    store: Store
    settings: WebSettings
    registry: CollectorRegistry
    clock: Callable[[], float]
    has_reports: bool


def build_web(
    published: Published,
    store: Store,
    settings: WebSettings,
    clock: Callable[[], float] = time.time,
    shelf: Shelf | None = None,
) -> FastAPI:
    """Return the ASGI application; without a shelf it has no pages of scheduled reports."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ResultCollector(published))
    registry.register(published.keeper.health)
    registry.register(LinkCollector(settings.links, lambda: published.post.is_leader))
    web = FastAPI(
        title="Perfloop analyzer",
        description="Findings, incidents and recommendations.",
        docs_url=None,
        redoc_url=None,
        default_response_class=Json,
    )
    web.state.analyzer = State(published, store, settings, registry, clock, shelf is not None)
    web.include_router(router)
    web.include_router(api)
    if shelf is not None:
        web.state.reports = shelf
        web.include_router(reports)
    return web


def _state(request: Request) -> State:
    state: State = request.app.state.analyzer
    return state


Injected = Annotated[State, Depends(_state)]


@router.get("/metrics", response_class=PlainTextResponse, include_in_schema=False)
def metrics(state: Injected) -> Response:
    """Return the metrics that Prometheus scrapes."""
    return Response(generate_latest(state.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/-/healthy", response_class=PlainTextResponse, include_in_schema=False)
async def healthy() -> str:
    """Report that the process answers."""
    return "Analyzer is healthy.\n"


@router.get("/-/ready", response_class=PlainTextResponse, include_in_schema=False)
async def ready(state: Injected) -> Response:
    """Report whether there is a result that describes the present."""
    if not state.published.post.is_leader:
        return PlainTextResponse("Analyzer is ready: it stands by while another one publishes.\n")
    if state.published.result is None:
        return PlainTextResponse("No cycle has succeeded yet.\n", status_code=503)
    if state.published.is_stale:
        age = state.published.age(state.clock())
        return PlainTextResponse(f"No cycle has succeeded for {age:.0f} s.\n", status_code=503)
    return PlainTextResponse("Analyzer is ready.\n")


@router.get("/", response_class=Page, include_in_schema=False)
def page(state: Injected) -> Response:
    """Return the page for people."""
    settings = state.settings
    stored: Sequence[Recommendation] = ()
    problem = ""
    try:
        stored = _priced(state, state.store.recommendations())
    except StoreError as error:
        problem = str(error)
    place = settings.token_place if settings.token is not None else ""
    desk = Desk(settings.commands, stored, problem, place, settings.links, state.has_reports)
    return _html(render_page(state.published, state.clock(), desk))


@router.get("/report", response_class=Page, include_in_schema=False)
def report(state: Injected) -> Response:
    """Return the report of the newest result, one self-contained page."""
    published = state.published
    result = published.current
    if result is None:
        raise HTTPException(503, _why_none(published))
    record = Record(
        firing=published.firing,
        catalog=published.catalog,
        links=state.settings.links,
        is_stale=published.is_stale,
        is_served=True,
    )
    try:
        past = state.store.findings(result.at - REPORT_SECONDS)
        stored = _priced(state, state.store.recommendations())
        record = replace(record, past=past, stored=stored)
    except StoreError as error:
        record = replace(record, stored_problem=str(error))
    return _html(render_report(result, published.batches, record, state.settings.commands))


def _html(page: str) -> Response:
    return Page(page, headers={POLICY: PAGE_POLICY})


def _latest(state: State) -> dict[str, Any]:
    # Read once: a lease ends between two lines.
    published, result = state.published, state.published.current
    if result is None:
        raise HTTPException(503, _why_none(published))
    return result.as_dict() | {
        "age_seconds": published.age(state.clock()),
        "stale": published.is_stale,
    }


def _why_none(published: Published) -> str:
    """Return why there is no result."""
    if published.post.is_leader:
        return NO_RESULT
    post = published.post.as_dict()
    where = f"the one at {post['holder']} publishes" if post["holder"] else "none publishes"
    trouble = f"; {post['problem']}" if post["problem"] else ""
    return f"this analyzer stands by: {where}{trouble}"


def _age_headers(state: State) -> dict[str, str]:
    """Return what a list cannot say of itself; without a result only that there is none."""
    published, result = state.published, state.published.current
    if result is None:
        return {"Perfloop-Result-Stale": "true"}
    return {
        "Perfloop-Result-Timestamp": f"{result.at:.3f}",
        "Perfloop-Result-Age": f"{published.age(state.clock()):.1f}",
        "Perfloop-Result-Stale": str(published.is_stale).lower(),
    }


@api.get("/health", response_model=dict[str, Any], responses=READ)
def health(state: Injected) -> Json:
    """Return the score of each service and of the whole, with the penalties that make it, and the signals without data.

    `status` is `stale` when no cycle has succeeded for a while, `unknown` when no series was seen, else `known`: only
    then the scores describe the present. `state` is what happened to the database; `pace` is why Prometheus gets fewer
    questions at a time than it could, empty while it does not.
    """
    latest = _latest(state)
    keeper = state.published.keeper
    (facts,) = keeper.health.facts()
    status = "stale" if latest["stale"] else "known" if latest["health"] else "unknown"
    database = {"writable": facts.writable, "problem": keeper.problem, "set_aside": keeper.moved}
    shown = {key: latest[key] for key in ("at", "age_seconds", "stale", "health", "no_data", "failures")}
    own = {"error": state.published.error, "pace": state.published.pace.words, "state": database}
    return Json(shown | {"status": status} | own)


@api.get("/leader", response_model=dict[str, Any])
def leader(state: Injected) -> Json:
    """Return which analyzer of the database publishes: whether it is this one, where it is, in which term, who waits.

    `leader` says whether it is this one; `holder` is the address of the one that publishes, as far as it is known;
    `standbys` counts those that wait, as the one that publishes sees them; `problem` is why the database is silent.
    """
    return Json(state.published.post.as_dict())


@api.get("/findings", response_model=dict[str, Any], responses=READ)
def findings(state: Injected) -> Json:
    """Return what the detectors found in the last good cycle."""
    latest = _latest(state)
    return Json({key: latest[key] for key in ("at", "age_seconds", "stale", "findings")})


@api.get("/incidents", response_model=dict[str, Any], responses=READ)
def incidents(state: Injected) -> Json:
    """Return the findings that belong together, causes ranked, and in `suspects` the services in one order."""
    latest = _latest(state)
    return Json({key: latest[key] for key in ("at", "age_seconds", "stale", "incidents", "suspects")})


@api.get("/causes", response_model=dict[str, Any], responses=READ_ONE)
def causes(state: Injected, service: str, signal: str) -> Json:
    """Return the causes of a symptom, a signal of a service: an alert's, or one that no detector reports."""
    published, latest = state.published, _latest(state)
    findings = result.findings if (result := published.current) else ()
    symptom = Symptom(service, signal)
    ranked = explain_symptom(symptom, published.batches, published.catalog, published.topology, findings)
    if not ranked:
        raise HTTPException(404, f"service '{shown(service)}' has no value of a signal '{shown(signal)}'")
    body = {"causes": [cause.as_dict() for cause in ranked]}
    return Json({key: latest[key] for key in ("at", "age_seconds", "stale")} | body)


@api.get("/capacity", response_model=dict[str, Any], responses=READ)
def capacity(state: Injected) -> Json:
    """Return for each service its capacity, headroom, first limit, forecast, replicas and cost, as far as known.

    What is not known is missing; `notes` say why.
    """
    latest = _latest(state)
    return Json({key: latest[key] for key in ("at", "age_seconds", "stale")} | latest["capacity"])


@api.get("/changes", response_model=dict[str, Any], responses=READ)
def changes(state: Injected) -> Json:
    """Return what was changed within seven days, newest first, as the last good cycle knew it."""
    latest = _latest(state)
    return Json({key: latest[key] for key in ("at", "age_seconds", "stale", "changes")})


@api.get("/recommendations", response_model=list[dict[str, Any]], responses=READ_STORED)
def recommendations(analyzer: Injected, state: str | None = None, *, standing: bool = False) -> Json:
    """Return the stored recommendations, by priority and then expected gain; with `standing` those of the last cycle.

    The headers say when the result was made, how old it is in seconds, and whether it still describes the present.
    """
    if state is not None and state not in STATES:
        raise HTTPException(422, f"state has value '{shown(state)}': it must be one of {', '.join(sorted(STATES))}")
    if standing:
        current: list[dict[str, Any]] = _latest(analyzer)["recommendations"]
        return Json([one for one in current if state in (None, one["state"])], headers=_age_headers(analyzer))
    stored = _priced(analyzer, _stored(lambda: analyzer.store.recommendations(state)))
    return Json([one.as_dict() for one in stored], headers=_age_headers(analyzer))


@api.get("/recommendations/{identifier}", response_model=dict[str, Any], responses=READ_ONE)
def recommendation(state: Injected, identifier: str) -> Json:
    """Return one recommendation with every step of its life."""
    for one in _stored(state.store.recommendations) if IDENTIFIER.fullmatch(identifier) else ():
        if one.id == identifier:
            events = list(_stored(lambda: state.store.events(identifier)))
            (priced,) = _priced(state, [one])
            return Json(priced.as_dict() | {"events": events}, headers=_age_headers(state))
    raise HTTPException(404, f"no recommendation has the id '{shown(identifier)}'")


@api.get("/thresholds", response_model=dict[str, Any], responses=READ)
def thresholds(state: Injected) -> Json:
    """Return the limits that are in use: of each signal, and of each alert that gives a signal its limits."""
    catalog = state.published.catalog
    found = {
        "source": state.settings.thresholds_file,
        "signals": {
            signal.name: _numbers(signal.limit)
            | {"services": {service: _numbers(limit) for service, limit in signal.own_limits.items()}}
            for signal in catalog
        },
        "alerts": {signal.alert: _numbers(signal.limit) for signal in catalog if signal.alert},
    }
    return Json(found)


def _numbers(limit: Limit) -> dict[str, Any]:
    return {"warning": limit.warning, "critical": limit.critical, "goal": limit.goal}


def _require_token(request: Request) -> None:
    token = _state(request).settings.token
    if token is None:
        raise HTTPException(403, "no token is set: start the analyzer with --web.token-file to allow changes")
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), f"Bearer {token}".encode()):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


@api.post(
    "/changes",
    dependencies=[Depends(_require_token)],
    status_code=201,
    response_model=dict[str, Any],
    responses=RECORD,
)
def record(state: Injected, change: NewChange) -> Json:
    """Record what was changed: a deployment, a configuration, anything that may explain what follows."""
    try:
        made = read_change(change.model_dump(exclude_none=True), state.clock())
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    _stored(lambda: state.store.record_change(made))
    return Json(made.as_dict(), status_code=201)


@api.post(
    "/recommendations/{identifier}/proof",
    dependencies=[Depends(_require_token)],
    response_model=dict[str, Any],
    responses=CHANGE,
)
def prove(state: Injected, identifier: str, proof: NewProof) -> Json:
    """Keep the outcome of a proof: the incident's load replayed without and with the change."""
    try:
        body = proof.model_dump(exclude_none=True)
        return Json(_stored(lambda: state.store.record_proof(identifier, body, state.clock())).as_dict())
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from error


@api.post(
    "/recommendations/{identifier}/{step}",
    dependencies=[Depends(_require_token)],
    response_model=dict[str, Any],
    responses=CHANGE,
)
def transition(state: Injected, identifier: str, step: str, decision: Decision | None = None) -> Json:
    """Move a recommendation on: accept, implement, dismiss or reopen; the first two take the hours of work."""
    if step not in PEOPLES_STEPS:
        raise HTTPException(404, f"unknown step '{shown(step)}': it must be one of {', '.join(PEOPLES_STEPS)}")
    hours = decision.effort_hours if decision else None
    if hours is not None and step not in EFFORT_STEPS:
        raise HTTPException(422, f"effort_hours is given with {' or '.join(EFFORT_STEPS)}, not with {step}")
    try:
        moved = _stored(lambda: state.store.transition(identifier, step, state.clock(), hours))
        return Json(_priced(state, [moved])[0].as_dict())
    except TransitionError as error:
        raise HTTPException(409, str(error)) from error
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from error


def _priced(state: State, recommendations: Sequence[Recommendation]) -> Sequence[Recommendation]:
    """Return stored recommendations with what each is worth by the prices in use."""
    return with_money(recommendations, state.published.prices_of_recommendations)


def _stored(read: Callable[[], T]) -> T:
    try:
        return read()
    except StoreError as error:
        raise HTTPException(503, str(error)) from error
