"""Every board in a real Grafana and a real browser: no panel fails, and a picture of each is kept."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from grafana_client.model import DatasourceIdentifier

from tests.grafana.screens import (
    ABOVE_PIXELS,
    PANEL_TEXTS,
    ROW_PIXELS,
    SHARED_COLOURS,
    Watch,
    log_in,
    picture,
    show_board,
)
from tests.grafana.sites import ABSENT, Site, find_site
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.support.live_stack import LiveStack

pytestmark = [
    pytest.mark.grafana,
    pytest.mark.browser,
    pytest.mark.e2e,
    pytest.mark.xdist_group("live-stack"),
    pytest.mark.timeout(600),
]
Boards = dict[str, dict[str, Any]]
BOARDS = (
    *("overview", "service", "slo", "system", "fleet", "llm", "database-cache"),
    *("load-test", "analysis", "recommendations", "capacity", "alerts", "stack"),
)
# Those with rows that are collapsed at first.
WITH_DETAILS = ("system", "kubernetes", "llm", "load-test", "stack")
# Grafana's marks of a failed panel: a query that failed (9 and 10, and from 11 on), or a panel that broke while drawn.
FAILED_PANEL = (
    ".panel-info-corner--error, [data-testid='data-testid Panel status error'],"
    ".react-grid-item :is([data-testid='data-testid Alert error'], [aria-label='Alert error'])"
)
# Titles that are wider than their place, as Grafana 9 and as later ones mark titles.
CUT_TITLES = """[...document.querySelectorAll(".panel-title h2, [data-testid$='header-container'] :is(h2, h6)")]
  .filter(title => title.scrollWidth > title.clientWidth).map(title => title.textContent)"""
# Shapes that show none of our words where nothing is found: heat maps in every Grafana, timelines in Grafana 9.
WORDLESS = {"heatmap"}
WORDLESS_IN_9 = {*WORDLESS, "state-timeline"}
FIRING = 'ALERTS{alertstate="firing", alertname="DatabaseQueryTimeHigh", severity="critical"}'
FEW_LINES = {"alerts", "recommendations", "fleet", "slo"}
UPDATE_PICTURES = bool(os.environ.get("UPDATE_PICTURES"))
WIDTH = 1366


@dataclass(frozen=True)
class Session:
    """A browser that is logged in, and where."""

    site: Site
    version: str
    context: BrowserContext


@pytest.fixture(scope="module")
def site(live_stack: LiveStack, boards: Boards) -> Site:
    """A Grafana that has our boards; without one these tests are skipped, and say so."""
    found = find_site(live_stack)
    if found is None:
        pytest.skip(ABSENT)
    live_stack.wait_for_traffic()
    found.provide(boards, live_stack.prometheus)
    return found


@pytest.fixture(scope="module")
def session(site: Site, browser: Browser) -> Iterator[Session]:
    """A browser that is logged in, with the screen of a small laptop: what fits there fits everywhere."""
    with site.api() as api:
        version = str(api.health.check()["version"])
    with browser.new_context(viewport={"width": WIDTH, "height": 1000}) as context:
        log_in(context, site)
        yield Session(site, version, context)


def test_the_source_answers(site: Site):
    """The data source is there under its fixed uid, and asks Prometheus with success."""
    with site.api() as api:
        assert api.datasource.get_datasource_by_uid("prometheus")["type"] == "prometheus"
        assert api.datasource.smartquery(DatasourceIdentifier(uid="prometheus"), "up")


@pytest.mark.parametrize("uid", BOARDS)
def test_a_board_loads_through_the_api(site: Site, boards: Boards, uid: str):
    """What Grafana gives back has the panels that the file has."""
    with site.api() as api:
        loaded = api.dashboard.get_dashboard(uid)["dashboard"]
    assert [panel["title"] for panel in loaded["panels"]] == [panel["title"] for panel in boards[uid]["panels"]]


@contextmanager
def opened(session: Session, board: dict[str, Any], query: str, file: Path) -> Iterator[tuple[Page, Watch]]:
    """The whole board on one screen, drawn; its picture is kept in `file`, even of a board that does not come."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    with session.context.new_page() as page:
        page.set_viewport_size({"width": WIDTH, "height": bottom * ROW_PIXELS + ABOVE_PIXELS})
        watch = Watch(page, session.site.url)
        address = f"{session.site.url}/d/{board['uid']}?kiosk&from=now-5m&to=now&refresh=&{query}"
        try:
            show_board(page, address)
            yield page, watch
        finally:
            picture(page, file)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("uid", BOARDS)
def test_a_board_shows_in_a_browser(session: Session, boards: Boards, screenshots: Path, uid: str, theme: str):
    """No panel shows an error, no query is refused, no title is cut, nothing is called elsewhere; a picture is kept."""
    file = screenshots / f"{uid}-{theme}.png"
    with opened(session, boards[uid], f"theme={theme}", file) as (page, watch):
        shown = page.locator(".react-grid-item").count()
        failed = page.locator(FAILED_PANEL).count()
        cut = page.evaluate(CUT_TITLES)
        colours = page.evaluate(SHARED_COLOURS)
    assert [title for title, shared, _ in colours if shared] == []
    assert any(series > 1 for _, _, series in colours) or uid in FEW_LINES
    assert (failed, watch.calls_elsewhere, cut) == (0, [], [])
    assert [fault for fault in watch.faults if fault.startswith("query")] == []
    assert shown == len(boards[uid]["panels"])
    assert file.stat().st_size > 30_000


@pytest.mark.parametrize("uid", WITH_DETAILS)
def test_details_come_when_their_row_is_opened(session: Session, boards: Boards, screenshots: Path, uid: str):
    """A click on a collapsed row brings its panels, none of which fails; another takes them away."""
    if session.version.startswith("9."):
        pytest.skip("Grafana 9 marks the headings of rows in another way")
    with opened(session, boards[uid], "", screenshots / f"{uid}-closed.png") as (page, watch):
        closed = page.locator(".react-grid-item").count()
        for number, row in enumerate(one for one in boards[uid]["panels"] if one.get("panels")):
            lines = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in row["panels"])
            size = page.viewport_size
            assert size
            # What lies below the screen is not loaded.
            page.set_viewport_size({"width": WIDTH, "height": max(size["height"], 2 * lines * ROW_PIXELS)})
            heading = page.get_by_test_id(f"data-testid dashboard-row-title-{row['title']}")
            heading.click()
            page.wait_for_timeout(3_000)  # as show_board: there is no event for the last of the queries
            shown, failed = page.locator(".react-grid-item").count(), page.locator(FAILED_PANEL).count()
            picture(page, screenshots / f"{uid}-row-{number}.png")
            assert (shown - closed, failed) == (len(row["panels"]), 0), row["title"]
            assert page.evaluate(CUT_TITLES) == [], row["title"]
            heading.click()
            page.wait_for_timeout(500)
    assert [fault for fault in watch.faults if fault.startswith("query")] == []


@pytest.mark.parametrize("uid", [uid for uid in BOARDS if uid != "fleet"])  # nothing is chosen on that of all hosts
def test_a_panel_that_finds_nothing_says_why(session: Session, boards: Boards, screenshots: Path, uid: str):
    """With nothing chosen, what asks for the chosen alone shows the words of its empty state; a count shows its 0."""
    names = [one["name"] for one in boards[uid]["templating"]["list"] if one["type"] != "datasource"]
    nothing = "&".join(f"var-{name}=nothing" for name in names)
    with opened(session, boards[uid], nothing, screenshots / f"{uid}-empty.png") as (page, _):
        texts = [" ".join(text.split()) for text in page.evaluate(PANEL_TEXTS)]
    wordless = WORDLESS_IN_9 if session.version.startswith("9.") else WORDLESS
    panels = [one for one in boards[uid]["panels"] if one["type"] not in {"row", *wordless}]
    empty = [one for one in panels if all(_asks_for_chosen(target["expr"], names) for target in one["targets"])]
    silent = [
        panel["title"]
        for panel in empty
        if not any(text.startswith(_shown_title(panel)) and _why(panel) in text for text in texts)
    ]
    assert silent == []
    assert empty


@pytest.fixture
def slow_queries(live_stack: LiveStack) -> Iterator[None]:
    """The demo's queries are slow, and the analyzer has seen it."""
    if UPDATE_PICTURES:
        # A picture for readers shows the time before the fault too, of the five minutes that it covers.
        running = 'time() - max(process_start_time_seconds{service="demo"}) > 210'
        wait_for(lambda: live_stack.query(running), "the demo to run for a while", seconds=300)
    live_stack.break_demo(slow_queries=0.4)
    try:
        named = 'perfloop_recommendation_info{service="demo", category="database", state="open"}'
        wait_for(lambda: live_stack.query(named), "a recommendation for the database")
        wait_for(lambda: live_stack.query(FIRING), "the critical alert")
        yield
    finally:
        live_stack.heal_demo()


@pytest.mark.usefixtures("slow_queries")
def test_the_overview_of_the_readme(session: Session, boards: Boards, screenshots: Path, checkout: Path):
    """The picture of the README shows a fault: a penalty, a recommendation and an alert; below 300 kB.

    With UPDATE_PICTURES set it is written to docs/images/.
    """
    target = checkout / "docs" / "images" if UPDATE_PICTURES else screenshots / "readme"
    with opened(session, boards["overview"], "theme=dark", target / "overview.png") as (page, _):
        texts = {text.partition("\n")[0]: text for text in page.evaluate(PANEL_TEXTS)}
    assert "Database query time" in texts["Why is the score low?"]
    assert "database" in texts["Top recommendations"].lower()
    assert "DatabaseQueryTimeHigh" in texts["Firing alerts by severity"]
    assert 30_000 < (target / "overview.png").stat().st_size < 300_000


def _asks_for_chosen(expression: str, names: list[str]) -> bool:
    chosen = any(re.search(rf"\${name}\b", expression) for name in names)
    return chosen and not re.search(r"vector\(0\)|\* 0$", expression)


def _shown_title(panel: dict[str, Any]) -> str:
    """The title up to a variable in it, of which nothing is chosen."""
    return str(panel["title"]).partition("$")[0]


def _why(panel: dict[str, Any]) -> str:
    return str(panel["fieldConfig"]["defaults"]["noValue"])
