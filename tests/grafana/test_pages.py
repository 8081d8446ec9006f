"""The pages that we make ourselves, in the same browser: the analyzer's own page and every HTML report."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ExitCode
from tests.grafana.screens import Watch, picture
from tests.support.looking import assert_readable
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.live_stack import LiveStack

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.xdist_group("live-stack"), pytest.mark.timeout(300)]

INVALID = ExitCode.INVALID  # the generator, not the service, was the limit
SHORT_TEST = """\
load_tests:
  short:
    duration_seconds: 4
    concurrent_users: 2
    endpoints:
      - {path: /health}
      - {path: /api/v1/search, method: POST, data: {query: "a short test"}}
"""


def look(browser: Browser, url: str, own: str, file: Path) -> str:
    """Open a page, keep its picture, and return its text; fail on any error or any call to elsewhere."""
    with browser.new_page(viewport={"width": 1200, "height": 800}) as page:
        watch = Watch(page, own)
        page.goto(url, wait_until="load")
        page.wait_for_timeout(500)
        size = picture(page, file)
        text = page.inner_text("body")
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert (watch.faults, watch.calls_elsewhere) == ([], [])
    assert not wide, f"{url} is wider than its window"
    assert size > 10_000
    return text


def run(live_stack: LiveStack, *arguments: str, fine: tuple[int, ...] = (0,)) -> None:
    """Run one of the programs as a person does; `fine` are the exit codes that leave a report."""
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, **live_stack.environment}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode in fine, done.stdout + done.stderr


def test_the_analyzers_page(live_stack: LiveStack, browser: Browser, screenshots: Path):
    """Its page shows how healthy the services are."""
    live_stack.wait_for_traffic()
    text = look(browser, f"{live_stack.analyzer}/", live_stack.analyzer, screenshots / "analyzer.png")
    assert "demo" in text


def test_every_link_of_the_analyzers_page_opens_what_it_names(live_stack: LiveStack, browser: Browser):
    """Its own pages, those of the other programs, and the sections of the runbook; boards have the same addresses."""
    wait_for(lambda: live_stack.read("count(perfloop_link_info)"), "the links to reach Prometheus")
    given = {one["metric"]["program"]: one["metric"]["url"] for one in live_stack.query("perfloop_link_info")}
    for name in ("analyzer", "demo", "exporter", "inbox", "loadgen", "prometheus"):
        assert given[name] == getattr(live_stack, name)
    with browser.new_page() as page:
        for path in ("/", "/report"):
            page.goto(f"{live_stack.analyzer}{path}")
            for address in page.eval_on_selector_all("a[href]", "all => all.map((one) => one.href)"):
                if "/d/" in address and "grafana" not in given:
                    continue
                answer = page.request.get(address)
                assert answer.ok, f"{address}: {answer.status}"
                if "#" in address and "/user/" in address:
                    assert f'id="{address.partition("#")[2]}"' in answer.text(), address


def test_the_report_says_which_alerts_fire(live_stack: LiveStack, browser: Browser):
    """As Prometheus has them, the watchdog apart."""
    live_stack.wait_for_traffic()
    # Ten seconds between two cycles: what begins or ends meanwhile is asked again.
    firing = 'ALERTS{alertstate="firing",severity!~"none|info"}'

    def agree() -> bool:
        named = {one["metric"]["alertname"] for one in live_stack.query(firing)}
        with browser.new_page() as page:
            page.goto(f"{live_stack.analyzer}/report")
            shown = page.locator("#alerts").inner_text()
        return all(name in shown for name in named) and bool(named) != ("None is firing." in shown)

    wait_for(agree, "the report to agree with Prometheus")


def test_our_pages_can_be_read(live_stack: LiveStack, browser: Browser):
    """In light and dark, wide and narrow: no faint text, nothing beyond the window."""
    for address in (live_stack.exporter, live_stack.loadgen, live_stack.inbox):
        assert_readable(browser, f"{address}/")


def test_the_analyzers_report(live_stack: LiveStack, browser: Browser, screenshots: Path, tmp_path: Path):
    """Its HTML report is one file that needs nothing else."""
    live_stack.wait_for_traffic()
    report = tmp_path / "analysis.html"
    source = f"--prometheus.url={live_stack.prometheus}"
    run(
        live_stack,
        "perfloop_analyzer",
        "report",
        source,
        f"--store.url=sqlite:///{tmp_path / 's.sqlite'}",
        f"--html={report}",
    )
    text = look(browser, report.as_uri(), report.as_uri(), screenshots / "analyzer-report.png")
    assert "demo" in text


def test_the_load_generators_report(live_stack: LiveStack, browser: Browser, screenshots: Path, tmp_path: Path):
    """Its HTML report is one file that needs nothing else; a busy machine's run is invalid, and its report says so."""
    scenario, report = tmp_path / "short.yml", tmp_path / "load.html"
    scenario.write_text(SHORT_TEST, encoding="utf-8")
    command = ("perfloop_loadgen", "run", str(scenario), "--url", live_stack.demo, f"--report.html={report}")
    run(live_stack, *command, fine=(0, INVALID))
    text = look(browser, report.as_uri(), report.as_uri(), screenshots / "loadgen-report.png")
    assert "/api/v1/search" in text
