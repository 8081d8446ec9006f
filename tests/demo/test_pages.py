"""The pages of the inbox and of the demo service, in a real browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.alertmanager.inbox.conftest import ANY_PORT
from tests.support.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ColorScheme, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

WEBHOOK = "/slack/services/T00000000/B00000000/secretToken1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not here: `apt-get install chromium` to look at the pages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def _open(browser: Browser, url: str, scheme: ColorScheme = "light") -> Page:
    page = browser.new_page(color_scheme=scheme, viewport={"width": 900, "height": 1000})
    page.set_default_timeout(20_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(url)
    assert problems == []
    return page


def _keep(page: Page, name: str) -> None:
    """Write a screenshot to the directory that PERFLOOP_SCREENSHOTS names."""
    directory = os.environ.get("PERFLOOP_SCREENSHOTS")
    if directory:
        page.screenshot(path=f"{directory}/{name}.png", full_page=True)


def test_inbox_page_refreshes_itself(browser: Browser, tmp_path: Path):
    """A message that arrives while the page is open appears on it, and an opened payload stays open."""
    flags = [f"--web.listen-address={ANY_PORT}", f"--smtp.listen-address={ANY_PORT}"]
    with run_program("perfloop_inbox", flags, tmp_path) as inbox:
        page = _open(browser, str(inbox.client.base_url))
        expect(page.locator("main")).to_contain_text("Nothing has arrived yet")
        for status, color in (("FIRING:1", "danger"), ("RESOLVED", "good")):
            attachment = {
                "title": f"[{status}] DatabaseQueryTimeHigh · demo · critical",
                "color": color,
                "text": "demo sqlite: 382.5ms, the limit is 200 ms.",
                "fields": [{"title": "Severity", "value": "critical"}],
            }
            inbox.client.post(WEBHOOK, json={"attachments": [attachment]}).raise_for_status()
        expect(page.locator("article")).to_have_count(2)
        expect(page.locator("article").first).to_contain_text("resolved")
        page.locator("summary").first.click()
        inbox.client.put("/faults", json={"email": 451}).raise_for_status()
        expect(page.locator(".notice")).to_contain_text("E-mail responds with 451")
        expect(page.locator("details").first).to_have_attribute("open", "")
        _keep(page, "inbox-light")
        _keep(_open(browser, str(inbox.client.base_url), "dark"), "inbox-dark")


def test_demo_page_switches_faults(browser: Browser, tmp_path: Path):
    """The page switches a fault on and off, and ends all of them."""
    flags = [f"--web.listen-address={ANY_PORT}", f"--data.dir={tmp_path}"]
    with run_program("perfloop_demo.service", flags, tmp_path) as service:
        page = _open(browser, str(service.client.base_url))
        slow, off = (page.locator(f"form[data-fault={name}]") for name in ("slow_queries", "cache_off"))
        slow.locator("input").fill("0.2")
        slow.get_by_role("button", name="Switch on").click()
        expect(slow).to_contain_text("on: 0.2")
        off.get_by_role("button", name="Switch on").click()
        expect(off.locator("h3 span")).to_have_text("on")
        assert service.client.get("/faults").json() == {"slow_queries": 0.2, "cache_off": True}
        _keep(page, "demo-light")
        _keep(_open(browser, str(service.client.base_url), "dark"), "demo-dark")
        slow.get_by_role("button", name="Off").click()
        expect(slow.locator("h3 span")).to_have_text("")
        page.get_by_role("button", name="End all faults").click()
        expect(off.locator("h3 span")).to_have_text("")
        assert service.client.get("/faults").json() == {}
