"""What can be measured of a page in a browser: whether its texts can be read, and whether it fits its window."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

# WCAG 2.1, success criterion 1.4.3: 4.5, and 3 for large text. What is disabled does not count.
_FAINT = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? ["0", "0", "0", "0"]).map(Number);
  const linear = (value) => value <= 10.31 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found.length < 4 || found[3] > 0.99) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.data.trim();
    if (!words || !element.checkVisibility() || element.closest("script, style, :disabled")) continue;
    const style = getComputedStyle(element);
    const ink = channels(element.closest("svg") ? style.fill : style.color);
    const [dark, light] = [luminance(ink), luminance(ground(element))].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    let opacity = 1;
    for (let one = element; one; one = one.parentElement) opacity *= parseFloat(getComputedStyle(one).opacity);
    if (ratio < (large ? 3 : 4.5) || opacity < 1) faint.push(`${ratio.toFixed(1)} ${opacity} ${words.slice(0, 60)}`);
  }
  return faint;
}"""


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """Open Debian's Chromium without a window; where it is missing, the tests are skipped, and say so.

    Not for a whole session: Playwright keeps an event loop running, and no other test of that thread could start one.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("NO CHROMIUM: `apt-get install chromium` lets these tests look at the pages")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def faint_texts(page: Page) -> list[str]:
    """Return the visible texts of a page whose contrast is too low, each after its contrast and its opacity."""
    found: list[str] = page.evaluate(_FAINT)
    return found


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


def assert_readable(browser: Browser, url: str) -> None:
    """Fail where a page has a faint text, or does not fit its window, in light or dark, wide or narrow."""
    for scheme in ("light", "dark"):
        for width in (1600, 600):
            with browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900}) as page:  # type: ignore[arg-type] # a str
                page.goto(url)
                assert (faint_texts(page), overflow(page)) == ([], 0), f"{url}, {scheme}, {width} pixels"
