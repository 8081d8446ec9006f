"""The pages and the API of reports: those that were kept, and one that is made now.

GET /reports                        the schedule, and what was made
GET /reports/{id}                   one report; {id}.md and {id}.json in the other forms
GET /api/v1/reports                 what was made, and what became of it
GET /api/v1/reports/make/{kind}     a report of any span, made now
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from perfloop_analyzer.answers import READ_ONE, READ_STORED, Json, Page, shown
from perfloop_analyzer.errors import AnalyzerError, ConfigError, StoreError
from perfloop_analyzer.moments import parse_moment
from perfloop_analyzer.reports.rendering import (
    FORMATS,
    RENDERERS,
    REPORT_POLICY,
    PageLink,
    render_page,
    render_shelf,
)
from perfloop_analyzer.reports.window import Window, check_window, last_full_week
from perfloop_base.reports import KINDS
from perfloop_base.schedules import read_zone
from perfloop_base.web.headers import POLICY

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_analyzer.reports.making import ReportMaker
    from perfloop_analyzer.reports.plans import PlanFile
    from perfloop_analyzer.store.reports import ReportBook, ReportTexts
    from perfloop_base.reports import ScheduledReport

router = APIRouter()

_TYPES = {"md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8"}
_TO_ANALYZER = PageLink("../", "Analyzer")
_LONGEST_ID = 80


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the handlers work with."""

    book: ReportBook
    maker: ReportMaker
    plans: PlanFile
    clock: Callable[[], float]


class Span(BaseModel):
    """Which report is made now."""

    model_config = ConfigDict(extra="forbid")

    start: str | None = Field(default=None, description="where it begins: a date, Unix seconds, or how long ago")
    end: str | None = Field(default=None, description="where it ends; now where only `start` is given")
    time_zone: str = Field(default="UTC", description="a name of the IANA database, in which weeks are counted")
    form: Literal["html", "md", "json"] = "json"


def _shelf(request: Request) -> Shelf:
    shelf: Shelf = request.app.state.reports
    return shelf


Injected = Annotated[Shelf, Depends(_shelf)]


@router.get("/reports", response_class=Page, include_in_schema=False)
def list_page(shelf: Injected) -> Response:
    """Return the page that lists what is scheduled and what was made."""
    now = shelf.clock()
    plans = [_plan(one, now) for one in shelf.plans.current().reports]
    problem = shelf.plans.problem
    try:
        stored = shelf.book.listed()
    except StoreError as error:
        stored, problem = (), str(error)
    body = render_shelf(plans=plans, stored=stored, problem=problem)
    return _page(render_page("Reports", body, [PageLink("./", "Analyzer")]))


@router.get("/reports/{identifier}", include_in_schema=False)
def read_page(shelf: Injected, identifier: str) -> Response:
    """Return one report that was kept, as a page, or in the form that the end of its name asks for."""
    name, dot, form = identifier.rpartition(".")
    # A name has no dot: with another ending it is nobody's.
    texts = _texts(shelf, name if dot and form in FORMATS else identifier)
    if dot and form == "json":
        return Json(dict(texts.document))
    if dot and form == "md":
        return PlainTextResponse(texts.markdown, media_type=_TYPES["md"])
    links = [_TO_ANALYZER, PageLink("../reports", "Reports")]
    links += [PageLink(f"{identifier}.{one}", words) for one, words in (("md", "Markdown"), ("json", "JSON"))]
    return _page(render_page(texts.title, texts.body, links))


@router.get("/api/v1/reports", response_model=list[dict[str, Any]], responses=READ_STORED)
def list_reports(shelf: Injected) -> Json:
    """Return what became of every scheduled report that is kept, the newest first."""
    try:
        return Json([one.as_dict() for one in shelf.book.listed()])
    except StoreError as error:
        raise HTTPException(503, str(error)) from error


@router.get("/api/v1/reports/make/{kind}", response_class=Json, responses=READ_ONE)
async def make_report(shelf: Injected, kind: str, span: Annotated[Span, Query()]) -> Response:
    """Make a report now, of the last full week or of the span that is asked for."""
    if kind not in KINDS:
        raise HTTPException(404, f"there is no report '{shown(kind)}': it must be one of {', '.join(KINDS)}")
    if shelf.maker.is_busy:
        raise HTTPException(503, "other reports are being made: ask again in a minute")
    now = shelf.clock()
    try:
        report = await shelf.maker.make(kind, read_window(span.start, span.end, span.time_zone, now), now)
    except (ConfigError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    except AnalyzerError as error:
        raise HTTPException(503, str(error)) from error
    text = RENDERERS[span.form](report)
    if span.form == "html":
        return _page(text)
    return Response(text, media_type=_TYPES.get(span.form, "application/json"))


def read_window(start: str | None, end: str | None, time_zone: str, now: float) -> Window:
    """Return the span that a person asks for: the last full week where neither end is given.

    Raises:
        ConfigError: Nothing can be reported of it.
        ValueError: A moment or the time zone cannot be read; both in one sentence.
    """
    zone = read_zone(time_zone)
    week = last_full_week(now, zone)
    if start is None and end is None:
        return week
    last = week.end if end is None else _moment(end, zone)
    if start is not None:
        first = _moment(start, zone)
        last = now if end is None else last
    else:
        first = last - week.seconds
    window = Window(first, last, zone)
    check_window(window, now)
    return window


def _moment(text: str, zone: Any) -> float:
    """Return a moment; a date without a time zone is in that of the report."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return parse_moment(text)
    try:
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (OverflowError, ValueError):  # the ends of the calendar, in another time zone
        return parse_moment(text)


def _texts(shelf: Shelf, identifier: str) -> ReportTexts:
    try:
        texts = shelf.book.texts(identifier) if len(identifier) <= _LONGEST_ID and identifier.isprintable() else None
    except StoreError as error:
        raise HTTPException(503, str(error)) from error
    if texts is None:
        raise HTTPException(404, f"no report has the id '{shown(identifier)}'")
    return texts


def _page(text: str) -> Response:
    return Page(text, headers={POLICY: REPORT_POLICY})


def _plan(one: ScheduledReport, now: float) -> dict[str, str]:
    following = one.schedule.next(now)
    zone = one.schedule.zone
    return {
        "name": one.name,
        "kind": one.kind,
        "schedule": one.schedule.expression,
        "next": f"{datetime.fromtimestamp(following, zone):%a %Y-%m-%d %H:%M} ({zone.key})" if following else "never",
        "channels": ", ".join(one.channels),
    }
