"""Looking at a page as a person does: Debian's Chromium, the errors it reports, and a picture of what it shows."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

    from tests.grafana.sites import Site

# Nothing but what the test asks for: no updates, no sync, no first-run pages.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]
GRAFANA_QUERY = "/api/ds/query"
# The title of each panel, how many series of its legend share a colour with another, and how many there are.
SHARED_COLOURS = """[...document.querySelectorAll('.react-grid-item')].map(panel => {
  const icons = [...panel.querySelectorAll("[data-testid='series-icon']")]
  const colours = icons.map(icon => getComputedStyle(icon).background)
  return [panel.innerText.split('\\n')[0], colours.length - new Set(colours).size, colours.length]
})"""
PANEL_TEXTS = "[...document.querySelectorAll('.react-grid-item')].map(panel => panel.innerText)"
QUIET_SECONDS = 2.0  # without a query under way, after which nothing more is drawn
ROW_PIXELS = 38
ABOVE_PIXELS = 140


def log_in(context: BrowserContext, site: Site) -> None:
    """Let every page of the context be that of the site's user."""
    answer = context.request.post(f"{site.url}/login", data={"user": site.user, "password": site.password})
    assert answer.ok, answer.text()


@contextmanager
def open_board(context: BrowserContext, url: str, board: dict[str, Any], *, patience: float = 60) -> Iterator[Page]:
    """Open the whole board on one screen, over its last five minutes, and wait until it is drawn."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    with context.new_page() as page:
        page.set_viewport_size({"width": 1366, "height": bottom * ROW_PIXELS + ABOVE_PIXELS})
        show_board(page, f"{url}/d/{board['uid']}?kiosk&from=now-5m&to=now&refresh=", patience)
        yield page


def show_board(page: Page, address: str, patience: float = 60) -> None:
    """Go to a board and wait until its queries have been answered, for `patience` seconds at most."""
    pending: set[Request] = set()
    heard = [time.monotonic()]

    def begin(request: Request) -> None:
        if GRAFANA_QUERY in request.url:
            pending.add(request)
            heard[0] = time.monotonic()

    def end(request: Request) -> None:
        pending.discard(request)
        heard[0] = max(heard[0], time.monotonic())

    page.on("request", begin)
    page.on("requestfinished", end)
    page.on("requestfailed", end)
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_selector(".react-grid-item", timeout=60_000)
    page.wait_for_timeout(3_000)  # the first queries follow the page's own scripts
    deadline = time.monotonic() + patience
    while (pending or time.monotonic() - heard[0] < QUIET_SECONDS) and time.monotonic() < deadline:
        page.wait_for_timeout(200)


class Watch:
    """What went wrong while a page was open: errors of its scripts, of its queries, and calls to elsewhere."""

    def __init__(self, page: Page, own: str) -> None:
        self._own = own
        self.faults: list[str] = []
        self.calls_elsewhere: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", self._console)
        page.on("response", self._response)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.faults.append(f"console: {message.text}")

    def _response(self, response: Response) -> None:
        if GRAFANA_QUERY in response.url and response.status >= 400:
            self.faults.append(f"query: {response.status} {response.request.post_data}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._own, "data:", "blob:", "about:")):
            self.calls_elsewhere.append(request.url)


def picture(page: Page, file: Path) -> int:
    """Write a screenshot; return its size in bytes: an empty page gives a small one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return len(page.screenshot(path=str(file), full_page=True))
