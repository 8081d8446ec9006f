"""Looking at a page as a person does: Debian's Chromium, the errors it reports, and a picture of what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Page, Request, Response

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
