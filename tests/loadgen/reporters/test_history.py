"""The page of the history and its series: what the stored runs say, on a page of its own and for Prometheus."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from perfloop_loadgen.reporters.history_figures import HistoryCollector
from perfloop_loadgen.reporters.history_page import history_page
from perfloop_loadgen.store.facts import NEWEST_OF_TEST, HistoryFile, publish
from perfloop_loadgen.store.location import directory, make_directory
from perfloop_loadgen.store.runs import RunStore
from perfloop_loadgen.store.stored import Baseline, StoredRun
from perfloop_loadgen.summary.document import State
from perfloop_loadgen.summary.verdict import Verdict
from tests.loadgen.stored_runs import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def store() -> Iterator[RunStore]:
    """The store of the home directory."""
    make_directory()
    opened = RunStore(repair=True)
    yield opened
    opened.close()


def history() -> list[StoredRun]:
    """Fourteen runs of a test, the last six of them slower, and one that was killed."""
    runs = [StoredRun.of(run(number, p95=0.1 if number < 8 else 0.2)) for number in range(14)]
    return [*runs, StoredRun.of(run(20, state=State.KILLED, verdict=Verdict.INVALID))]


def test_the_page_shows_each_run_and_marks_the_change():
    """A plot of each figure, a mark at the run that changed it, the change in words, and every run in a table."""
    runs = history()
    page = history_page(runs, [Baseline("main", "shop", (runs[2].run_id,), 0.0)]).decode()
    assert page.count("<svg") == 3
    assert page.count('stroke-dasharray="4 3"') == 1
    assert f"p95 101 ms → 201 ms (+99%) from the run {runs[8].run_id} on" in unescape(page)
    rows = re.findall(r"<tr><td.*?</tr>", page)
    assert len(rows) == 15
    assert "killed" in rows[0]
    assert "main" in rows[12]
    assert [runs[8].run_id in row for row in rows].index(True) == 6
    assert "<b>" in rows[6]


def test_the_page_needs_nothing_from_elsewhere():
    """No script, no style sheet, no font, no picture of another address."""
    page = history_page(history()).decode()
    assert not re.search(r"<script|<link|@import|url\(|src=|https?://", page)


def test_the_page_escapes_what_it_shows():
    """Names of tests, labels and revisions are text from outside."""
    runs = [replace(one, test=HOSTILE, labels={"a": HOSTILE}, revision=HOSTILE, host=HOSTILE) for one in history()]
    page = history_page(runs, [Baseline(HOSTILE, HOSTILE, (runs[0].run_id,), 0.0)]).decode()
    assert "<img" not in page


def test_a_page_of_no_runs_says_so():
    """Rather than to be empty."""
    assert "No run is stored." in history_page([]).decode()


def _exposed() -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HistoryCollector())
    return generate_latest(registry).decode()


def test_the_newest_runs_and_the_facts_become_series(store: RunStore):
    """Of each test: whether its newest run passed, its baselines; of each run its figures and what changed with it."""
    for number in range(8):
        store.save(run(number, labels={"version": "1.3"}))
    for number in range(8, 14):
        store.save(run(number, p95=0.2, labels={"version": "1.4"}, revision="b" * 40))
    store.save(run(14, test="cart", verdict=Verdict.FAILED))
    store.set_baseline("main", [f"{number:012x}" for number in (1, 2)])
    publish(store)
    exposed = _exposed()
    assert 'loadgen_test_passed{test="shop"} 1.0' in exposed
    assert 'loadgen_test_passed{test="cart"} 0.0' in exposed
    assert 'loadgen_baseline_runs{baseline="main",test="shop"} 2.0' in exposed
    assert exposed.count("loadgen_stored_run_rate{") == 15
    [changed] = [line for line in exposed.splitlines() if "p95 101 ms" in line]
    assert f'run_id="{8:012x}"' in changed
    assert 'version="1.4"' in changed
    assert 'revision="bbbbbbbb"' in changed
    assert 'run="2026-01-01 08:00:00Z shop"' in changed


def test_only_the_newest_runs_of_a_test_become_series(store: RunStore):
    """However many are stored: the number of series is bounded."""
    for number in range(NEWEST_OF_TEST + 5):
        store.save(run(number))
    publish(store)
    assert _exposed().count("loadgen_stored_run_rate{") == NEWEST_OF_TEST


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1, "runs": [{}], "baselines": []}']
)
def test_a_file_of_facts_that_cannot_be_read_is_no_facts(content: str):
    """Another program, or a kill, may have written it."""
    (make_directory() / "history.json").write_text(content)
    assert "loadgen_stored_run_rate{" not in _exposed()


def test_the_file_is_read_again_when_it_has_changed(store: RunStore):
    """And only then."""
    store.save(run(1))
    publish(store)
    file = HistoryFile()
    first = file.read()
    assert file.read() is first
    store.save(run(2))
    publish(store)
    assert len(file.read().runs) == 2


def test_the_facts_are_a_documented_file(store: RunStore):
    """What a script reads: by test, whether its newest run passed, and its baselines."""
    store.save(run(1))
    store.set_baseline("main", [f"{1:012x}"])
    publish(store)
    content = json.loads((directory() / "history.json").read_text())
    assert content["tests"] == {"shop": {"passed": True, "newest": f"{1:012x}", "baselines": ["main"]}}
    assert directory().stat().st_mode & 0o077 == 0


def test_a_database_that_a_flag_names_is_not_published(tmp_path: Path):
    """The facts are those of the standing one."""
    make_directory()
    store = RunStore(f"sqlite:///{tmp_path / 'other.db'}")
    store.save(run(1))
    publish(store)
    store.close()
    assert not (directory() / "history.json").exists()
