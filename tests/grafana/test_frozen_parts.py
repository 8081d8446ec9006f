"""Two minutes in which one part of the stack is frozen or dead: the boards and the pages of the others say so.

The guardian of a stack ends what hangs and supervisord starts it again, so both are put out of action first. Each fault
takes two minutes: they run with PERFLOOP_LONG_TESTS=1. Where `grafana` is on PATH, what it draws is read as well.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop.stack.records import load_pids
from perfloop_base.processes import find_process
from perfloop_boards.watches import ANALYZER_DOWN
from tests.grafana.screens import PANEL_TEXTS, log_in, open_board
from tests.grafana.sites import find_site
from tests.grafana.states import Screen, Sources, watched
from tests.support.live_stack import LiveStack
from tests.support.native_stack import Stack, wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext

    from tests.grafana.boards import Panel

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.xdist_group("frozen-parts"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("PERFLOOP_LONG_TESTS"), reason="two minutes for each part: PERFLOOP_LONG_TESTS=1 runs it"
    ),
]
FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "120"))
SETTLE_SECONDS = 240


@dataclass(frozen=True)
class Fault:
    """What the boards and pages say of one part that does not answer.

    Attributes:
        job: what Prometheus calls it.
        figures: of these the value is replaced by what is down, or has it beside; the first has it in Grafana too.
        rows: for a table, the labels of its row and the figure of its first query.
        texts: for a table, a text in one of its cells.
        values: figures that have this value.
        pages: for a page of another part, a text on it.
    """

    job: str
    figures: Sequence[str] = ()
    rows: Mapping[str, tuple[Mapping[str, str], float]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    pages: Mapping[tuple[str, str], str] = field(default_factory=dict)


FAULTS = {
    "demo": Fault(
        "demo",
        ("service: Response p95", "overview: Failed requests", "overview: Budget spent", "database-cache: Pool used"),
        {"overview: Services": ({"service": "demo"}, 0)},
        {"overview: Firing alerts by severity": "ServiceDown", "alerts: Firing alerts": "ServiceDown"},
        {"overview: Health score": 0},
        {("analyzer", "/"): "demo does not answer", ("analyzer", "/report"): "ServiceDown"},
    ),
    "analyzer": Fault(
        "analyzer",
        ("overview: Health score", "analysis: Incidents", "recommendations: Open", "stack: Analyzer cycle"),
        texts={
            "overview: Why is the score low?": ANALYZER_DOWN,
            "overview: Top recommendations": ANALYZER_DOWN,
            "overview: Incidents": ANALYZER_DOWN,
            "overview: Firing alerts by severity": "TargetDown",
        },
    ),
    "exporter": Fault(
        "node",
        ("system: CPU used", "fleet: Highest CPU"),
        {"fleet: All hosts": ({}, 1)},
        values={"fleet: Hosts down": 1},
        texts={"overview: Firing alerts by severity": "TargetDown"},
    ),
    "loadgen": Fault(
        "loadgen",
        ("load-test: Completed rate", "load-test: Response p95"),
        values={"load-test: Verdict": 4},
        texts={"overview: Firing alerts by severity": "TargetDown"},
    ),
    "inbox": Fault("inbox", ("alerts: Last heartbeat",), texts={"alerts: Firing alerts": "TargetDown"}),
    "alertmanager": Fault(
        "alertmanager",
        ("stack: Dropped alerts", "alerts: Silenced"),
        texts={"alerts: Firing alerts": "TargetDown"},
    ),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with its demo under load, of which nobody restarts a part."""
    stack = Stack(tmp_path_factory.mktemp("frozen") / "home")
    try:
        code, _, err = stack.run("up", "--native")
        assert code == 0, err
        live = _live(stack)
        live.wait_for_traffic()
        wait(lambda: bool(live.query("loadgen_run_info")), SETTLE_SECONDS, "the load generator's run")
        yield stack
    finally:
        stack.clear()


def _live(stack: Stack) -> LiveStack:
    urls = (stack.url(name) for name in ("demo", "inbox", "prometheus", "exporter", "analyzer", "loadgen"))
    return LiveStack(*urls, environment=stack.environment)


@pytest.fixture
def unattended(stack: Stack) -> Iterator[Stack]:
    """The healthy stack while neither guardian nor supervisord acts; afterwards both bring it back."""
    wait(lambda: not _live(stack).query("up == 0"), SETTLE_SECONDS, "every target to answer")
    wait(lambda: find_process(load_pids(stack.home).get("guardian", "")) is not None, SETTLE_SECONDS, "the guardian")
    guardian = stack.process("guardian")
    # The guardian's own watcher first: it ends a guardian that hangs.
    stopped = [*guardian.children(), guardian, stack.supervisord()]
    for process in stopped:
        process.suspend()
    yield stack
    for process in reversed(stopped):
        process.resume()


@pytest.fixture(scope="module")
def grafana(stack: Stack, browser: Browser) -> Iterator[tuple[str, BrowserContext] | None]:
    """The stack's Grafana with a browser that is logged in; none where there is no program."""
    site = find_site(_live(stack))
    if site is None:
        yield None
        return
    with browser.new_context() as context:
        log_in(context, site)
        yield site.url, context


@dataclass(frozen=True)
class Observer:
    """What somebody sees of the stack: every panel by its queries, and a browser where Grafana runs."""

    stack: Stack
    screen: Screen
    sources: Sources
    boards: dict[str, dict[str, Any]]
    grafana: tuple[str, BrowserContext] | None

    def find_wrong(self, part: str, expected: Fault) -> list[str]:
        """Return the panels that do not say that the part is down."""
        look = self.screen.look
        about = [name for name, panel in self.screen.panels.items() if watched(panel) and part in self._find(panel)]
        wrong = [f"{name}: {look(name)}" for name in about if look(name).looks_well]
        wrong += [f"{name}: {look(name)}" for name in expected.figures if not look(name).down]
        rows = {"stack: Targets": ({"job": expected.job}, 0.0), **expected.rows}
        wrong += [name for name, (labels, value) in rows.items() if self.screen.rows(name, **labels) != [value]]
        wrong += [f"{name}: {text}" for name, text in expected.texts.items() if text not in look(name).texts]
        values = {"stack: Targets down": 1.0, **expected.values}
        return wrong + [f"{name}: {look(name)}" for name, value in values.items() if look(name).values != [value]]

    def _find(self, panel: Panel) -> set[str]:
        return set().union(*map(self.sources.find, panel.expressions))

    def find_wrong_pages(self, expected: Fault) -> list[str]:
        """Return the pages of other parts that lack their text."""
        return [
            f"{name}{path}: {text}"
            for (name, path), text in expected.pages.items()
            if text not in httpx.get(self.stack.url(name, path), timeout=60).text
        ]

    def find_unsaid(self, expected: Fault) -> list[str]:
        """Return the figures in which Grafana draws no word of what is down; none where there is no Grafana."""
        if self.grafana is None:
            return []
        url, context = self.grafana
        unsaid = []
        for panel in map(self.screen.panels.__getitem__, expected.figures):
            overrides = {one["matcher"]["options"]: one["properties"] for one in panel.json["fieldConfig"]["overrides"]}
            (word,) = (str(one["value"]).removeprefix("suffix: ") for one in overrides["B"] if one["id"] == "unit")
            with open_board(context, url, self.boards[panel.board]) as page:
                texts = [text for text in page.evaluate(PANEL_TEXTS) if text.startswith(panel.title)]
            if not any(word in text for text in texts):
                unsaid.append(f"{panel}: {texts}")
        return unsaid


@pytest.fixture
def observer(
    unattended: Stack,
    checkout: Path,
    boards: dict[str, dict[str, Any]],
    panels: list[Panel],
    grafana: tuple[str, BrowserContext] | None,
) -> Iterator[Observer]:
    """Who looks at the unattended stack."""
    with httpx.Client(base_url=unattended.url("prometheus"), timeout=60) as client:
        yield Observer(unattended, Screen(client, boards, panels), Sources(checkout), boards, grafana)


@pytest.mark.parametrize("fault", ["frozen", "killed"])
@pytest.mark.parametrize("part", FAULTS)
def test_boards_and_pages_say_what_does_not_answer(observer: Observer, part: str, fault: str):
    """After two minutes no figure about it looks well, its row says down, and Grafana draws the word."""
    process, expected = observer.stack.process(part), FAULTS[part]
    try:
        process.suspend() if fault == "frozen" else process.kill()
        time.sleep(FAULT_SECONDS)
        assert observer.find_wrong(part, expected) == []
        assert observer.find_wrong_pages(expected) == []
        assert observer.find_unsaid(expected) == []
    finally:
        if fault == "frozen":
            process.resume()


def test_a_frozen_prometheus_is_seen_on_pages_and_boards(observer: Observer):
    """Nothing can be asked: the analyzer's page and report say since when, every panel failed, `status` ends with 7."""
    process = observer.stack.process("prometheus")
    try:
        process.suspend()
        time.sleep(FAULT_SECONDS)
        for path in ("/", "/report"):
            assert "No result since" in httpx.get(observer.stack.url("analyzer", path), timeout=60).text
        assert observer.stack.run("status")[0] == 7
        if observer.grafana:
            url, context = observer.grafana
            with open_board(context, url, observer.boards["overview"], patience=120) as page:
                failed = page.locator("[data-testid='data-testid Panel status error']").count()
            assert failed == len(observer.boards["overview"]["panels"])
    finally:
        process.resume()
