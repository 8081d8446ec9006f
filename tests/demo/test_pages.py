"""The pages of the inbox, the demo service and the exporter, in a real browser."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.alertmanager.inbox.conftest import ANY_PORT
from tests.support.looking import assert_readable, open_chromium
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
    with open_chromium() as browser:
        yield browser


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
        expect(page.locator(".notice:not([hidden])")).to_contain_text("E-mail responds with 451")
        expect(page.locator("details").first).to_have_attribute("open", "")
        assert_readable(browser, str(inbox.client.base_url))
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
        for path in ("", "docs"):
            assert_readable(browser, f"{str(service.client.base_url).rstrip('/')}/{path}")
        _keep(page, "demo-light")
        _keep(_open(browser, str(service.client.base_url), "dark"), "demo-dark")
        slow.get_by_role("button", name="Off").click()
        expect(slow.locator("h3 span")).to_have_text("")
        page.get_by_role("button", name="End all faults").click()
        expect(off.locator("h3 span")).to_have_text("")
        assert service.client.get("/faults").json() == {}
        service.process.send_signal(signal.SIGSTOP)
        try:
            expect(page.locator("#problem")).to_contain_text("The service does not answer", timeout=30_000)
        finally:
            service.process.send_signal(signal.SIGCONT)
        expect(page.locator("#problem")).to_have_text("", timeout=30_000)


def test_exporter_page_leads_to_its_metrics(browser: Browser, tmp_path: Path):
    """It can be read, names the collectors, and each of its links answers."""
    with run_program("perfloop_exporter", [f"--web.listen-address={ANY_PORT}"], tmp_path) as exporter:
        address = str(exporter.client.base_url)
        assert_readable(browser, address)
        page = _open(browser, address)
        expect(page.locator("main")).to_contain_text("filesystem")
        links = page.eval_on_selector_all("a", "all => all.map((one) => one.href)")
        assert len(links) == 3
        assert [link for link in links if not page.request.get(link).ok] == []
        _keep(page, "exporter-light")
