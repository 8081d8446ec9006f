"""No figure of any board looks well while what it is about is frozen: every part of a running stack, all at once."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from perfloop.stack import records
from perfloop_base.processes import find_process
from perfloop_boards.watches import ANALYZER_DOWN
from tests.grafana.states import Screen, Sources
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.grafana.boards import Panel
    from tests.support.live_stack import LiveStack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("live-stack"), pytest.mark.timeout(600)]
# Everything but Prometheus, by the name of its process and by that of its job.
PARTS = {
    "demo": "demo",
    "exporter": "node",
    "analyzer": "analyzer",
    "loadgen": "loadgen",
    "inbox": "inbox",
    "alertmanager": "alertmanager",
}
JOBS = "|".join(PARTS.values())
COUNTS_OF_DOWN = ("stack: Targets down", "fleet: Hosts down")
# Figures that are true although what they are about is down; each with its reason.
TRUE_ANYWAY = {
    "overview: Alerts firing": "Prometheus evaluates alerts itself: what fires, fires",
    "alerts: Critical": "Prometheus evaluates alerts itself: what fires, fires",
    "alerts: Warnings": "Prometheus evaluates alerts itself: what fires, fires",
    "alerts: Pending": "Prometheus evaluates alerts itself: what is pending, is pending",
    "slo: Objectives": "how many objectives the rules have, whatever answers",
    "slo: Alerts firing": "Prometheus evaluates alerts itself: what fires, fires",
    "fleet: Hosts down": "the count of what is down",
    "stack: Targets down": "the count of what is down",
    "load-test: Verdict": "a run that does not answer has a verdict of its own, see below",
}
# Tables of what the analyzer finds: each says itself that there is no analysis.
FINDINGS = (
    "overview: Why is the score low?",
    "overview: Top recommendations",
    "overview: Incidents",
    "analysis: Why is the score low?",
    "recommendations: All recommendations",
)


@pytest.fixture(scope="module")
def frozen(live_stack: LiveStack, boards: dict[str, dict[str, Any]], panels: list[Panel]) -> Iterator[Screen]:
    """The boards while all parts but Prometheus are stopped, and Prometheus has seen it."""
    live_stack.wait_for_traffic()
    wait_for(lambda: live_stack.query("loadgen_run_info"), "the load generator's run")
    wait_for(lambda: live_stack.query("service_db:db_client_operations:rate1m"), "the recording rules")
    home = Path(live_stack.environment["PERFLOOP_HOME"])
    # The guardian ends what hangs, and starts it again.
    stopped = [find_process(records.load_pids(home).get(name, "")) for name in ("guardian", *PARTS)]
    assert all(stopped), stopped
    with httpx.Client(base_url=live_stack.prometheus, timeout=60) as client:
        port = live_stack.environment["PERFLOOP_LOADGEN_PORT"]
        asked = {"query": f'loadgen_run_info{{instance=~".+:{port}"}}'}
        run = client.get("/api/v1/query", params=asked).json()["data"]["result"][0]["metric"]["run"]
        before = Screen(client, boards, panels)
        gone = {name: int(sum(before.look(name).values)) for name in COUNTS_OF_DOWN}
        try:
            for process in stopped:
                process.suspend()
            down = f'count(up{{job=~"{JOBS}"}} == 0) >= {len(PARTS)}'
            wait_for(lambda: live_stack.query(down), "Prometheus to see that they do not answer")
            # Not the newest run where other tests of this stack have ended one: the one that is frozen.
            yield Screen(client, boards, panels, {"load-test": {"run": run}}, gone)
        finally:
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):  # frozen for too long, it was replaced
                    process.resume()
            wait_for(lambda: not live_stack.query("up == 0"), "all of them to answer again")


def test_no_figure_looks_well_while_all_are_frozen(frozen: Screen, checkout: Path):
    """A figure of what a frozen program exports has no value, or says beside it that the program is down."""
    sources = Sources(checkout)
    figures = [name for name, panel in frozen.panels.items() if panel.kind == "stat" and name not in TRUE_ANYWAY]
    about = {name: set().union(*map(sources.find, frozen.panels[name].expressions)) & PARTS.keys() for name in figures}
    shown = {name: frozen.look(name) for name, programs in about.items() if programs}
    assert len(shown) > 50
    assert {name: (str(one), about[name]) for name, one in shown.items() if one.looks_well} == {}
    said = {program for name, one in shown.items() if one.down for program in about[name]}
    assert said == PARTS.keys()


def test_tables_and_counts_say_what_is_frozen(frozen: Screen):
    """Rows of services, hosts and targets say down; findings that nobody looks for are not absent, they are unknown."""
    assert frozen.rows("overview: Services", service="demo") == [0]
    # Of its state the table shows 1 as down. What other tests of this stack left, and is gone, was down before.
    assert frozen.rows("fleet: All hosts") == [1] * (1 + frozen.gone["fleet: Hosts down"])
    assert [frozen.rows("stack: Targets", job=job) for job in PARTS.values()] == [[0]] * len(PARTS)
    assert frozen.look("stack: Targets down").values == [len(PARTS) + frozen.gone["stack: Targets down"]]
    assert frozen.look("fleet: Hosts down").values == [1 + frozen.gone["fleet: Hosts down"]]
    assert frozen.look("load-test: Verdict").values == [4]  # no answer: killed or frozen
    assert [name for name in FINDINGS if ANALYZER_DOWN not in frozen.look(name).texts] == []


def test_every_reason_is_one():
    """An exception without a reason is a fault overlooked."""
    assert all(len(reason.split()) >= 5 for reason in TRUE_ANYWAY.values())
