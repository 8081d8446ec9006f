"""What the analyzer says: it sees the present, recommendations, and headroom; and that reports are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.check import analysis, reviews
from perfloop.check.app import ask
from perfloop.check.findings import UnansweredError, Verdict
from perfloop.check.table import CHECKS
from perfloop_base.reports import read_reports
from tests.support.readiness import CHECKOUT, NOW, answering, looked, make_sources

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400.0
HEALTH = {
    "status": "known",
    "age_seconds": 3.0,
    "health": [{"service": "shop", "score": 99.0}],
    "state": {"writable": True},
}


def recommended(**changes: Any) -> dict[str, Any]:
    """Return a recommendation as the API lists it."""
    whole = {"id": "a1", "title": "Add an index", "service": "shop", "priority": "critical", "state": "open"}
    return whole | {"updated": NOW - DAY, "evidence": []} | changes


@pytest.mark.parametrize(
    ("changes", "critical", "progress"),
    [
        ({}, "failed", "passed"),
        ({"state": "accepted"}, "failed", "passed"),
        ({"state": "implemented"}, "passed", "passed"),
        ({"state": "validated"}, "passed", "passed"),
        ({"priority": "high"}, "passed", "passed"),
        ({"priority": "low", "updated": NOW - 40 * DAY}, "passed", "failed"),
        ({"state": "dismissed", "updated": NOW - 40 * DAY}, "passed", "passed"),
        ({"service": "cart"}, "passed", "passed"),
    ],
)
def test_recommendations(tmp_path: Path, changes: dict[str, Any], critical: str, progress: str):
    """A critical one must be implemented, and none may wait for long; those of another service are not this one's."""
    answers = {"/api/v1/health": HEALTH, "/api/v1/recommendations": [recommended(**changes)]}
    with answering(answers) as analyzer:
        sources = make_sources(tmp_path, {"analyzer": analyzer.url}, service="shop")
        found = looked(analysis.look_at_critical, sources), looked(analysis.look_at_progress, sources)
    assert tuple(one.verdict.value for one in found) == (critical, progress)


@pytest.mark.parametrize("status", ["stale", "unknown", "something new"])
def test_an_analyzer_that_sees_nothing_says_nothing(tmp_path: Path, status: str):
    """No recommendation of it is no reason to pass."""
    answers = {"/api/v1/health": HEALTH | {"status": status}, "/api/v1/recommendations": []}
    with answering(answers) as analyzer:
        sources = make_sources(tmp_path, {"analyzer": analyzer.url})
        with pytest.raises(UnansweredError, match="is not known"):
            looked(analysis.look_at_critical, sources)
        assert looked(analysis.look_at_analyzer, sources).verdict is Verdict.FAILED


def test_the_analyzer_sees_the_service(tmp_path: Path):
    """A result of the present that is about others only is none of this service."""
    with answering({"/api/v1/health": HEALTH}) as analyzer:
        urls = {"analyzer": analyzer.url}
        shop = looked(analysis.look_at_analyzer, make_sources(tmp_path, urls, service="shop"))
        cart = looked(analysis.look_at_analyzer, make_sources(tmp_path, urls, service="cart"))
    assert (shop.verdict, shop.words) == (Verdict.PASSED, "its result is 3 s old; it sees shop")
    assert cart.verdict is Verdict.FAILED


def test_an_analyzer_that_cannot_write_fails(tmp_path: Path):
    """What it learns is lost."""
    state = {"writable": False, "problem": "the disk is full"}
    with answering({"/api/v1/health": HEALTH | {"state": state}}) as analyzer:
        found = looked(analysis.look_at_analyzer, make_sources(tmp_path, {"analyzer": analyzer.url}))
    assert found.words == "the analyzer cannot write its database: the disk is full"


def plan(state: str = "", **changes: Any) -> dict[str, Any]:
    """Return what the API says of one service's capacity; with a state, of its goals too."""
    goals = [
        {"goal": "10 x the load now", "requests_per_second": 100.0, "state": state, "words": "why"},
        {"goal": "1000 requests/s", "requests_per_second": 1000.0, "state": "not met", "words": "too few"},
    ]
    known = {"capacity": {"words": "you run at 10 of 150"}, "goals": goals} if state else {}
    return {"stale": False, "services": [{"service": "shop", "rate": 10.0, **known, "notes": [], **changes}]}


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (plan("met"), "passed", "10 x the load now is met: why; you run at 10 of 150"),
        (plan("not met"), "failed", "10 x the load now is not met: why"),
        (plan("not shown"), "unknown", "10 x the load now is not shown: why"),
        (plan("something new"), "unknown", "is something new"),
        (plan("met", goals=[]), "unknown", "the analyzer knows no capacity of shop, or no load"),
        (plan(notes=["the rates are too alike."]), "unknown", "the rates are too alike"),
        (plan("met", service="cart"), "unknown", "the analyzer knows no capacity of shop"),
    ],
    ids=["met", "not met", "not shown", "another state", "no goal", "a note", "another service"],
)
def test_headroom(tmp_path: Path, answer: dict[str, Any], verdict: str, words: str):
    """The analyzer judges the goal by the bounds of the capacity; what it does not show is unknown."""
    with answering({"/api/v1/capacity": answer}) as analyzer:
        sources = make_sources(tmp_path, {"analyzer": analyzer.url}, service="shop")
        found = looked(analysis.look_at_headroom, sources)
    assert (found.verdict.value, found.of) == (verdict, "shop")
    assert words in found.words


def test_a_stale_capacity_is_unknown(tmp_path: Path):
    """It is of the past."""
    (headroom,) = (one for one in CHECKS if one.name == "headroom")
    with answering({"/api/v1/capacity": plan("met") | {"stale": True}}) as analyzer:
        (found,) = ask(headroom, make_sources(tmp_path, {"analyzer": analyzer.url}, service="shop"))
    assert found.verdict is Verdict.UNKNOWN


REPORT = read_reports(CHECKOUT / "prometheus" / "reports.yml").reports[0]
DUE = REPORT.schedule.last(NOW) or 0.0


def moment(unix: float) -> str:
    """Return a moment as lines write it."""
    return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M} UTC"


@pytest.mark.parametrize(
    ("times", "verdict", "words"),
    [
        ((DUE, DUE + 60), "passed", f"last {moment(DUE + 60)}, next "),
        ((0.0, 0.0), "passed", f"{REPORT.name}: not sent yet, next "),
        ((DUE, DUE - 60), "failed", f"{REPORT.name} was due {moment(DUE)} and arrived last {moment(DUE - 60)}"),
        ((DUE, 0.0), "failed", f"{REPORT.name} was due {moment(DUE)} and never arrived"),
        ((DUE + DAY - 60, 0.0), "passed", "not sent yet"),
        ((None, None), "unknown", f"the analyzer publishes nothing of the report {REPORT.name}"),
        ((DUE, None), "unknown", "the analyzer publishes nothing of the report"),
    ],
    ids=["made", "never due", "missed", "never made", "due just now", "nothing", "half"],
)
def test_reports_are_scheduled_and_made(
    prometheus_of: Any, tmp_path: Path, times: tuple[float | None, ...], verdict: str, words: str
):
    """One that was due and did not arrive is missed."""
    names = ("perfloop_report_due_timestamp_seconds", "perfloop_report_last_success_timestamp_seconds")
    series = dict(zip(names, times, strict=True))
    url = prometheus_of({f'{name}{{report="{REPORT.name}"}}': at for name, at in series.items() if at is not None})
    found = looked(reviews.look_at_reviews, make_sources(tmp_path, {"prometheus": url}, now=DUE + DAY))
    assert found.verdict.value == verdict
    assert words in found.words
