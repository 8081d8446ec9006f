"""Reports as people see and print them: Debian's Chromium."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from perfloop_analyzer.reports.rendering import render_html
from perfloop_analyzer.reports.review import compose
from perfloop_base.reports import KINDS
from tests.analyzer.reports.weeks import MADE, WINDOW, make_parts
from tests.support.looking import assert_readable, open_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with open_chromium() as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_can_be_read(browser: Browser, tmp_path: Path, kind: str) -> None:
    """In light and dark, wide and narrow: contrast, and nothing beyond the edge."""
    (tmp_path / "report.html").write_text(render_html(compose(kind, make_parts(), WINDOW, MADE)), encoding="utf-8")
    assert_readable(browser, f"file://{tmp_path}/report.html")


def test_the_review_prints_on_two_pages(browser: Browser) -> None:
    """A4, with more in the week than it shows."""
    page = browser.new_page()
    page.set_content(render_html(compose("weekly", make_parts(), WINDOW, MADE)))
    printed = page.pdf(prefer_css_page_size=True, print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 2
