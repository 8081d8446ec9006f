"""The analyzer's page as a person uses it: the real server and database, and Debian's Chromium."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.findings import Severity
from perfloop_analyzer.firing import Firing
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.ports import Health, Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.reporters.html import Commands
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.store import Database
from perfloop_base.addresses import Address, bound_address, listen
from perfloop_base.serving import Server
from perfloop_base.web.settings import Web
from tests.support.looking import assert_readable, open_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TOKEN = "sesame-open"
LINKS = {"grafana": "http://127.0.0.1:3000", "prometheus": "http://127.0.0.1:9090"}
ADVICE = Recommendation(
    *("slow-db-shop", "r", "shop", "database", "database", "high", "Add the index", "Do it", "low", "none"), (), ()
)
NOW = 1_700_000_000.0


@dataclass(frozen=True)
class Site:
    """An analyzer that serves: its address, its database, and how it stops."""

    url: str
    database: Database
    server: Server

    @property
    def states(self) -> dict[str, str]:
        """The state of each stored recommendation."""
        return {one.id: one.state for one in self.database.recommendations()}

    @property
    def steps(self) -> list[str]:
        """What happened to the recommendation."""
        return [event["step"] for event in self.database.events(ADVICE.id)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with open_chromium() as found:
        yield found


def _published(build: Any) -> Published:
    finding = build.finding(severity=Severity.CRITICAL, unit="seconds", value=0.42, onset=NOW - 600, expr="x")
    batch = Batch("db_query_time_p95", Grid(NOW - 3600, 60.0, 61), ({"service": "shop"},), np.full((1, 61), 0.42))
    incidents = group_incidents((finding,), Topology(), lambda _finding: 1.0)
    health = (Health("overall", 65.0, {finding.signal: 35.0}), Health("shop", 65.0, {finding.signal: 35.0}))
    result = Result(NOW, health, (finding,), incidents, (ADVICE,), series=1)
    firing = Firing(({"alertname": "DatabaseQueryTimeHigh", "severity": "critical", "service": "shop"},), "", NOW)
    published = Published(batches={"db_query_time_p95": batch}, catalog=load_catalog(), firing=firing)
    published.publish(result)
    return published


@contextmanager
def _serving(build: Any, directory: Path) -> Iterator[Site]:
    """Serve the page in a thread of its own, over a database with one recommendation."""
    with (
        closing(Database(f"sqlite:///{directory / 'a.sqlite'}")) as database,
        closing(listen(Address("127.0.0.1", 0), "--web.listen-address")) as listener,
    ):
        database.merge([ADVICE], NOW)
        commands = Commands(flags=("--web.url=http://127.0.0.1:1",))
        settings = WebSettings(TOKEN, commands, links=LINKS, token_place="/etc/perfloop/token")
        application = build_web(_published(build), database, settings, lambda: NOW + 5)
        server = Server(application, Web("", (), "analyzer", TOKEN, authenticates=True))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        yield Site(f"http://{bound_address(listener)}", database, server)
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def site(build: Any, tmp_path: Path) -> Iterator[Site]:
    """A page that can be looked at."""
    with _serving(build, tmp_path) as found:
        yield found


@contextmanager
def _looking(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """Open a page; fail on any error of its script, its policy, or a request to elsewhere."""
    with browser.new_page(**options) as page:
        problems: list[str] = []
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(url) else problems.append(request.url))
        page.on("console", lambda message: problems.append(message.text) if "Security Policy" in message.text else None)
        page.goto(f"{url}/")
        yield page
        assert problems == []


def test_buttons_change_a_recommendation_with_the_right_token(site: Site, browser: Browser) -> None:
    """A wrong token changes nothing and is asked again; the right one is asked once, and is in no address."""
    with _looking(browser, site.url) as page:
        addresses: list[str] = []
        page.on("request", lambda request: addresses.append(request.url))
        card, field = page.locator("#recommendation-slow-db-shop"), page.locator("#ask-token")
        expect(card.locator("code").last).to_be_hidden()
        card.get_by_role("button", name="Accept").click()
        expect(page.locator("dialog")).to_contain_text("/etc/perfloop/token")
        expect(page.locator("#ask-command")).to_have_text(
            "perfloop analyzer accept slow-db-shop --web.url=http://127.0.0.1:1"
        )
        field.fill("guess")
        field.press("Enter")
        expect(page.locator("#ask-problem")).to_contain_text("The analyzer refused this token")
        assert site.states == {ADVICE.id: "open"}
        field.fill(TOKEN)
        page.get_by_role("button", name="Send").click()
        expect(card.locator(".answer")).to_have_text("Now accepted.")
        expect(card.locator("summary")).to_contain_text("(accepted)")
        assert site.states == {ADVICE.id: "accepted"}
        for step, state in (
            ("Mark as implemented", "implemented"),
            ("Reopen", "open"),
            ("Dismiss", "dismissed"),
            ("Reopen", "open"),
        ):
            card.get_by_role("button", name=step).click()
            expect(card.locator(".answer")).to_have_text(f"Now {state}.")
            expect(page.locator("dialog")).to_be_hidden()
            assert site.states == {ADVICE.id: state}
        assert site.steps == ["open", "accept", "implement", "reopen", "dismiss", "reopen"]
        assert [one for one in addresses if TOKEN in one or "guess" in one] == []
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 1, ""]


def test_a_step_that_somebody_else_took_is_refused_in_a_sentence(site: Site, browser: Browser) -> None:
    """The page was older than the decision."""
    with _looking(browser, site.url) as page:
        card = page.locator("#recommendation-slow-db-shop")
        site.database.transition(ADVICE.id, "dismiss", NOW)
        card.get_by_role("button", name="Accept").click()
        page.locator("#ask-token").fill(TOKEN)
        page.get_by_role("button", name="Send").click()
        expect(card.locator(".answer")).to_contain_text(
            "Nothing was changed: recommendation 'slow-db-shop' is dismissed"
        )
        assert site.states == {ADVICE.id: "dismissed"}


def test_without_a_script_the_page_shows_the_complete_command(site: Site, browser: Browser) -> None:
    """And no button that does nothing."""
    with _looking(browser, site.url, java_script_enabled=False) as page:
        card = page.locator("#recommendation-slow-db-shop")
        expect(card).to_contain_text("perfloop analyzer accept slow-db-shop --web.url=http://127.0.0.1:1")
        expect(card.get_by_role("button", name="Accept")).to_be_hidden()


def test_a_page_whose_analyzer_does_not_answer_says_so(site: Site, browser: Browser) -> None:
    """The open page of a stopped analyzer shows no score any more."""
    with browser.new_page() as page:
        page.clock.install()
        page.goto(f"{site.url}/")
        expect(page.locator("#health")).to_be_visible()
        site.server.should_exit = True
        for _ in range(40):
            page.clock.run_for(10_500)
            page.wait_for_timeout(250)
            if page.locator("#unanswered").is_visible():
                break
        expect(page.locator("#unanswered")).to_contain_text("The analyzer has not answered since")
        expect(page.locator("#health")).to_be_hidden()


def test_a_link_to_a_recommendation_opens_it(site: Site, browser: Browser) -> None:
    """As the boards link to it, also where it is closed at first."""
    site.database.merge([replace(ADVICE, id="other")], NOW)
    with browser.new_page() as page:
        page.goto(f"{site.url}/#recommendation-slow-db-shop")
        expect(page.locator("#recommendation-slow-db-shop")).to_have_attribute("open", "")


def test_page_and_report_can_be_read_and_their_links_answer(site: Site, browser: Browser) -> None:
    """In light and dark, wide and narrow; every address of the analyzer's own is there."""
    for path in ("/", "/report"):
        assert_readable(browser, f"{site.url}{path}")
    with _looking(browser, site.url) as page:
        own = page.eval_on_selector_all("a", "all => all.map((one) => one.href)")
        for address in [one for one in own if one.startswith(site.url)]:
            assert page.request.get(address).ok, address
        assert page.request.get(f"{site.url}/report").text().count("<svg") == 1
        expect(page.locator("a", has_text="Runbook: DatabaseQueryTimeHigh")).to_have_count(
            0
        )  # no thresholds.yml is read
        page.goto(f"{site.url}/report")
        expect(page.locator("#alerts a", has_text="Runbook: DatabaseQueryTimeHigh")).to_have_count(1)
        page.get_by_role("link", name="Analyzer").click()
        expect(page.locator("h1")).to_have_text("Analyzer")
