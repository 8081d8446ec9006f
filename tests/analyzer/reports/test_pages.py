"""The pages and the API of reports, and what they refuse."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from perfloop_analyzer.errors import SourceUnavailable, StoreError
from perfloop_analyzer.published import Published, ReportHealth
from perfloop_analyzer.reporters.metrics import ResultCollector
from perfloop_analyzer.reports import making
from perfloop_analyzer.reports.gathering import Gatherer
from perfloop_analyzer.reports.making import ReportMaker
from perfloop_analyzer.reports.pages import Shelf
from perfloop_analyzer.reports.plans import PlanFile
from perfloop_analyzer.reports.rendering import REPORT_POLICY
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.store import Database
from perfloop_analyzer.store.reports import ReportTexts
from tests.analyzer.reports.weeks import HOSTILE, MADE, WINDOW, make_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from perfloop_analyzer.reports.review import Parts
    from perfloop_analyzer.reports.window import Window

PLANS = 'reports:\n- {report: review, kind: weekly, schedule: "0 8 * * 1"}\n'


class Known(Gatherer):
    """Knows a week, or answers as a Prometheus that is away."""

    def __init__(self) -> None:
        self.is_away = False

    async def parts(self, window: Window) -> Parts:
        """Return the week, whatever is asked for."""
        if self.is_away:
            raise SourceUnavailable("Prometheus answered nothing")
        return make_parts()


class Site:
    """An analyzer's application with reports."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "reports.yml"
        self.file.write_text(PLANS, encoding="utf-8")
        self.database = Database(f"sqlite:///{directory / 'a.sqlite'}")
        self.gatherer = Known()
        self.maker = ReportMaker(self.gatherer)
        shelf = Shelf(self.database.reports, self.maker, PlanFile(self.file), lambda: MADE)
        self.client = TestClient(build_web(Published(), self.database, WebSettings(), lambda: MADE, shelf))

    def detail(self, path: str, status: int) -> str:
        """The sentence of a refusal."""
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return str(answer.json()["detail"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An application with one report that was sent."""
    made = Site(tmp_path)
    claimed = made.database.reports.claim("review", "weekly", WINDOW.end, "me", WINDOW.end)
    assert claimed is not None
    made.database.reports.keep(claimed.id, ReportTexts(f"Weekly {HOSTILE}", "<p>body</p>", "# text", {"a": 1}))
    made.database.reports.finish(claimed.id, WINDOW.end)
    yield made
    made.database.close()


def test_the_list_shows_the_schedule_and_what_was_made(site: Site) -> None:
    """When the next one comes, and where each one is; texts from outside are escaped."""
    assert 'href="reports"' in site.client.get("/").text
    answer = site.client.get("/reports")
    assert "Mon 2001-09-17 08:00 (UTC)" in answer.text
    assert 'href="reports/review-20010916T014640Z"' in answer.text
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"] == REPORT_POLICY


def test_a_schedule_that_became_invalid_is_said(site: Site) -> None:
    """The last good one stays in use."""
    site.file.write_text(PLANS.replace("0 8", "99 8"), encoding="utf-8")
    text = site.client.get("/reports").text
    assert "its minute cannot be read" in text
    assert "0 8 * * 1" in text


def test_a_report_is_there_in_three_forms(site: Site) -> None:
    """As a page with its policy, as Markdown, as JSON."""
    path = "/reports/review-20010916T014640Z"
    page = site.client.get(path)
    assert "<p>body</p>" in page.text
    assert page.headers["content-security-policy"] == REPORT_POLICY
    assert site.client.get(f"{path}.md").text == "# text"
    assert site.client.get(f"{path}.json").json() == {"a": 1}
    assert [one["state"] for one in site.client.get("/api/v1/reports").json()] == ["sent"]


@pytest.mark.parametrize("name", ["no-such", "no-such.json", "review-20010916T014640Z.exe", "x" * 500, "%00", "a%0ab"])
def test_a_report_that_is_not_there(site: Site, name: str) -> None:
    """One sentence, whatever the name."""
    assert site.detail(f"/reports/{name}", 404).startswith("no report has the id '")


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("monthly", 404, "there is no report 'monthly': it must be one of alerts, capacity, optimization, weekly"),
        ("alerts?start=2030-01-01", 422, "in the future: a report is about the past"),
        ("alerts?start=soon", 422, "'soon' is not a moment"),
        ("alerts?time_zone=Mars/Olympus", 422, "'Mars/Olympus' is not a time zone"),
        ("alerts?form=pdf", 422, "Input should be 'html', 'md' or 'json'"),
        ("alerts?from=2001-01-01", 422, "Extra inputs are not permitted"),
    ],
)
def test_a_report_that_cannot_be_made(site: Site, query: str, status: int, sentence: str) -> None:
    """A misspelt parameter is no silent default."""
    assert sentence in site.detail(f"/api/v1/reports/make/{query}", status)


def test_a_report_is_made_now(site: Site) -> None:
    """In each form."""
    made = {form: site.client.get(f"/api/v1/reports/make/weekly?form={form}") for form in ("html", "md", "json")}
    assert made["html"].headers["content-security-policy"] == REPORT_POLICY
    assert made["md"].text.startswith("# Weekly review")
    assert made["json"].json()["report"] == "weekly"


def test_what_does_not_answer_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus, the database, and too many who ask at once."""
    site.gatherer.is_away = True
    assert site.detail("/api/v1/reports/make/weekly", 503) == "Prometheus answered nothing"
    monkeypatch.setattr(making, "MOST_WAITING", 0)
    assert site.detail("/api/v1/reports/make/weekly", 503).startswith("other reports are being made")

    def broken(*_: Any) -> None:
        raise StoreError("the database failed")

    monkeypatch.setattr(site.database.reports, "listed", broken)
    monkeypatch.setattr(site.database.reports, "texts", broken)
    assert "the database failed" in site.client.get("/reports").text
    assert site.detail("/api/v1/reports", 503) == "the database failed"
    assert site.detail("/reports/x", 503) == "the database failed"


def test_reports_are_made_one_after_the_other(site: Site) -> None:
    """Each one asks Prometheus for weeks; who waits is counted."""
    running, most = 0, 0

    async def slow(window: Window) -> Parts:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return make_parts()

    site.gatherer.parts = slow  # type: ignore[method-assign]

    async def ask() -> None:
        maker = ReportMaker(site.gatherer)
        asked = [asyncio.create_task(maker.make("alerts", WINDOW, MADE)) for _ in range(4)]
        await asyncio.sleep(0)
        assert maker.is_busy
        await asyncio.gather(*asked)
        assert not maker.is_busy

    asyncio.run(ask())
    assert most == 1


def test_metrics_are_those_of_the_schedule() -> None:
    """One series for each report that has a schedule; none without."""
    published = Published(reports=ReportHealth())
    assert "perfloop_report" not in str([one.name for one in ResultCollector(published).collect()])
    published.reports.follow(["review", "other"])
    published.reports.owe("review", 10.0)
    published.reports.fail("review", "bad")
    published.reports.follow(["review"])
    found = {one.name: one.samples for one in ResultCollector(published).collect() if "report" in one.name}
    assert {name: [sample.value for sample in samples] for name, samples in found.items()} == {
        "perfloop_report_due_timestamp_seconds": [10.0],
        "perfloop_report_last_success_timestamp_seconds": [0.0],
        "perfloop_report_failures": [1.0],
    }
