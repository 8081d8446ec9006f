"""The inbox's pages in a real browser: frozen, readable, and a silence made by hand."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.alerting_chain import Chain, fetch, quicker, start_alertmanagers, start_inbox
from tests.support.looking import assert_readable, open_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

LABELS = {"alertname": "PoolFull", "service": "shop", "severity": "critical", "pool": 'a "b"'}


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def watched(bare_chain: Chain) -> Chain:
    """An Alertmanager and an inbox that knows it, with an alert that was sent."""
    start_inbox(bare_chain, watching=True)
    start_alertmanagers(bare_chain, rewrite=quicker)
    bare_chain.post_alerts({"labels": LABELS, "annotations": {"summary": "Pool *full* at 100 % (limit 95 %)"}})
    bare_chain.wait_message(channel="email")
    bare_chain.wait_message(channel="pagerduty")
    return bare_chain


def test_a_page_that_is_open_says_that_the_inbox_is_frozen(watched: Chain, browser: Browser):
    """What it shows is of before; when the inbox goes on the notice goes."""
    process = watched.processes["inbox"].popen
    assert process is not None
    with browser.new_page() as page:
        page.goto(watched.urls["inbox"])
        notice = page.locator("#away")
        assert notice.is_hidden()
        process.send_signal(signal.SIGSTOP)
        try:
            notice.wait_for(state="visible", timeout=30_000)
            assert "The inbox does not answer since " in notice.inner_text()
        finally:
            process.send_signal(signal.SIGCONT)
        notice.wait_for(state="hidden", timeout=30_000)


def test_an_alert_is_silenced_by_hand(watched: Chain, browser: Browser):
    """From the page of alerts to a silence of exactly that alert, and its end by the button."""
    inbox, silences = watched.urls["inbox"], f"{watched.urls['alertmanager']}/api/v2/silences"
    for path in ("", "/alerts", "/silences", "/silences/new"):
        assert_readable(browser, inbox + path)
    with browser.new_page() as page:
        page.goto(f"{inbox}/alerts")
        page.get_by_role("link", name="Silence", exact=True).click()
        page.fill("input[name=author]", "ann")
        page.fill("input[name=comment]", "being resized")
        page.get_by_role("button", name="Silence").click()
        page.wait_for_url("**/silences", timeout=30_000)
        (made,) = fetch(silences)
        matched = {one["name"]: one["value"] for one in made["matchers"]}
        assert matched == {name: value for name, value in LABELS.items() if name != "severity"}
        page.get_by_role("button", name="End it").click()
        page.get_by_text("Nothing is silenced.").wait_for(timeout=30_000)
