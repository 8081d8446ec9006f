"""A service that does not answer: seen, first cause, health 0; gone and forgotten; nothing seen is not healthy."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.app import open_loop
from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import RunConfig, SourceConfig
from perfloop_analyzer.findings import OVERALL, Severity
from perfloop_analyzer.incidents import Topology
from perfloop_analyzer.loop import NOTHING_SEEN, Loop
from perfloop_analyzer.pipeline import Knowledge, Settings, analyze
from perfloop_analyzer.ports import Responses, Result
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.reporters.html import render_page
from perfloop_analyzer.reporters.metrics import ResultCollector
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.store import Database
from tests.analyzer.conftest import wait_for
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POINTS, STEP = 240, 5.0
KNOWLEDGE = Knowledge(load_catalog(), load_rules(), settings=Settings("20s"))
GAP = np.nan


def _rows(**services: list[float]) -> Batch:
    """The share of targets that answer: the given newest values, 1 before them."""
    rows = [[1.0] * (POINTS - len(newest)) + newest for newest in services.values()]
    labels = tuple({"service": name} for name in services)
    return Batch("availability", Grid(0.0, STEP, POINTS), labels, np.array(rows).reshape(len(labels), POINTS))


def _analyzed(*batches: Batch, topology: Topology | None = None) -> Result:
    knowledge = Knowledge(KNOWLEDGE.catalog, KNOWLEDGE.rules, topology or Topology(), KNOWLEDGE.settings)
    return analyze(Responses({batch.signal: batch for batch in batches}, {}), knowledge, POINTS * STEP)


def _scores(result: Result) -> dict[str, float]:
    return {one.service: one.score for one in result.health}


def _slow(service: str = "shop") -> Batch:
    values = np.where(np.arange(POINTS) < POINTS - 6, 0.02, 3.0)[None, :]
    return Batch("api_response_time_p95", Grid(0.0, STEP, POINTS), ({"service": service},), values)


def test_a_service_that_does_not_answer_has_health_0_and_is_the_first_cause() -> None:
    """Whatever else is measured of it, even if that deviates more."""
    result = _analyzed(_rows(shop=[0.0] * 4, mail=[]), _slow())
    assert _scores(result) == {OVERALL: 0.0, "shop": 0.0, "mail": 100.0}
    (down,) = [one for one in result.health if one.service == "shop"]
    assert dict(down.penalties) == {"availability": 100.0}
    incident = result.incidents[0]
    assert incident.severity is Severity.CRITICAL
    assert (incident.causes[0].service, incident.causes[0].component) == ("shop", "availability")
    assert incident.causes[0].evidence == ("shop does not answer: none of its targets answers",)
    assert {finding.signal for finding in incident.findings} == {"availability", "api_response_time_p95"}
    first = result.recommendations[0]
    assert (first.rule, first.priority) == ("service_down", "critical")
    assert "log" in first.action
    assert first.improvement is not None
    assert first.improvement.ratio == 1.0


def test_a_part_of_the_targets_is_a_warning() -> None:
    """One of three replicas that is down leaves a service that answers."""
    result = _analyzed(_rows(shop=[2 / 3] * 4))
    assert 80 <= _scores(result)["shop"] < 100
    assert [finding.severity for finding in result.findings] == [Severity.WARNING]


def test_who_calls_a_dead_service_is_its_consequence() -> None:
    """With the call graph known, the caller's slowness belongs to the same incident, and comes second."""
    topology = Topology(calls={"web": frozenset({"shop"})})
    (incident,) = _analyzed(_rows(shop=[0.0] * 6, web=[]), _slow("web"), topology=topology).incidents
    assert [cause.service for cause in incident.causes] == ["shop", "web"]


def test_a_service_that_is_gone_is_missed_and_forgotten_after_ten_minutes() -> None:
    """No series at all may be a removal on purpose: it counts, but not for ever. A short gap is a restart."""
    found = {gap: _analyzed(_rows(shop=[GAP] * gap, mail=[])) for gap in (3, 8, 119, 125, 200)}
    assert [_scores(found[gap]).get("shop") for gap in (3, 8, 119, 125, 200)] == [100.0, 0.0, 0.0, None, None]
    assert found[8].recommendations[0].rule == "service_gone"
    assert found[8].findings[0].onset == (POINTS - 8) * STEP
    assert found[125].findings == ()


def test_a_load_test_that_ended_is_not_missed() -> None:
    """Its target is there while it runs; while it hangs it counts."""
    assert _analyzed(_rows(loadgen=[GAP] * 20, mail=[])).findings == ()
    assert _scores(_analyzed(_rows(loadgen=[0.0] * 20, mail=[])))["loadgen"] == 0.0


def test_when_prometheus_itself_was_off_nobody_is_missing() -> None:
    """After its restart some targets are scraped a moment before the others."""
    result = _analyzed(_rows(shop=[GAP] * 30, mail=[*[GAP] * 28, 1.0, 1.0]))
    assert result.findings == ()


def test_a_service_that_is_pushed_and_stops_is_missed() -> None:
    """Where nothing scrapes a service, its own series say whether it reports."""
    values = np.where(np.arange(POINTS) < POINTS - 10, 5.0, np.nan)[None, :]
    pushed = Batch("request_rate", Grid(0.0, STEP, POINTS), ({"service": "edge"},), values)
    assert _scores(_analyzed(_rows(shop=[]), pushed))["edge"] == 0.0


def test_old_series_are_no_health() -> None:
    """What has no value of the last minute is unknown, not healthy."""
    assert _analyzed(_rows(shop=[GAP] * 240)).health == ()


class _Empty:
    """A Prometheus without history: every query is answered, with nothing."""

    async def query(self, queries: Any, grid: Grid) -> Responses:
        """Return no series."""
        return Responses({q.signal: Batch(q.signal, grid, (), np.empty((0, grid.points))) for q in queries}, {})

    async def scrape_interval(self) -> float | None:
        """Return nothing."""


async def test_wiped_data_is_unknown_and_partial() -> None:
    """Nothing seen is no health of 100, no complete cycle, and said on the page."""
    database = Database("sqlite://")
    loop = Loop(RunConfig(), _Empty(), database, KNOWLEDGE)
    result = await loop.cycle(1000.0)
    database.close()
    assert result is not None
    assert (result.health, result.failures) == ((), {"data": NOTHING_SEEN.format(result.unseen[0].words)})
    assert loop.published.costs.cycles["partial"] == 1
    page = render_page(loop.published, 1000.0)
    assert "Unknown: nothing is seen." in page
    assert "within its limits" not in page


def test_an_old_result_is_shown_as_old_and_ends_its_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The analyzer that gets no answers any more claims nothing about now."""
    published = Published()
    published.publish(_analyzed(_rows(shop=[])))
    fresh = {family.name for family in ResultCollector(published).collect()}
    now = time.monotonic()
    monkeypatch.setattr("perfloop_analyzer.published.time.monotonic", lambda: now + 95.0)
    old = {family.name: family for family in ResultCollector(published).collect()}
    assert "perfloop_health_score" in fresh
    assert "perfloop_health_score" not in old
    assert old["perfloop_analyzer_result_age_seconds"].samples[0].value == pytest.approx(95.0, abs=2.0)
    page = render_page(published, 0.0)
    assert "No result since 1970-01-01 00:20:00 UTC (95 s)." in page


SERVED = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"up_marker 1\\n")
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


@pytest.fixture
def scraped(prometheus_binary: str, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """A real Prometheus that scrapes itself and a service process; its URL, the process, its targets' file."""
    port, own = find_free_ports(2)
    targets = tmp_path / "targets.yml"
    targets.write_text(f"- {{targets: ['127.0.0.1:{port}'], labels: {{service: shop}}}}\n")
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
        f"- {{job_name: prometheus, static_configs: [{{targets: ['127.0.0.1:{own}']}}]}}\n"
        f"- {{job_name: shop, file_sd_configs: [{{files: [{targets}], refresh_interval: 1s}}]}}\n"
    )
    flags = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}", "--log.level=error"]
    watcher = subprocess.Popen([prometheus_binary, *flags, f"--web.listen-address=127.0.0.1:{own}"])
    process = subprocess.Popen([sys.executable, "-c", SERVED.format(port=port)])
    try:
        wait_for(f"http://127.0.0.1:{own}/-/ready")
        wait_for(f"http://127.0.0.1:{port}/")
        yield f"http://127.0.0.1:{own}", process, targets
    finally:
        os.kill(process.pid, signal.SIGCONT)
        for one in (process, watcher):
            one.terminate()
            one.wait(15)


async def _until(loop: Loop, wanted: dict[str, float | None], seconds: float = 60.0) -> Result:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = await loop.cycle(time.time())
        if result is not None:
            scores = _scores(result)
            if {name: scores.get(name) for name in wanted} == wanted:
                return result
        await asyncio.sleep(0.5)
    raise AssertionError(
        f"not within {seconds} s: {wanted}, but {loop.published.result and loop.published.result.health}"
    )


async def test_a_frozen_service_is_seen_by_a_real_prometheus(
    scraped: tuple[str, subprocess.Popen[bytes], Path],
) -> None:
    """SIGSTOP: the port still accepts, nothing answers. With SIGCONT it answers as before."""
    url, process, _ = scraped
    async with open_loop(RunConfig(SourceConfig(url))) as (loop, _):
        await _until(loop, {"shop": 100.0, "prometheus": 100.0, OVERALL: 100.0})
        os.kill(process.pid, signal.SIGSTOP)
        result = await _until(loop, {"shop": 0.0, "prometheus": 100.0, OVERALL: 0.0})
        assert result.incidents[0].causes[0].evidence == ("shop does not answer: none of its targets answers",)
        assert [one.rule for one in result.recommendations] == ["service_down"]
        os.kill(process.pid, signal.SIGCONT)
        await _until(loop, {"shop": 100.0, OVERALL: 100.0})


@pytest.mark.slow
async def test_a_target_that_vanishes_is_missed_by_a_real_prometheus(
    scraped: tuple[str, subprocess.Popen[bytes], Path],
) -> None:
    """Service discovery that no longer finds it leaves no `up` at all."""
    url, _, targets = scraped
    async with open_loop(RunConfig(SourceConfig(url))) as (loop, _database):
        await _until(loop, {"shop": 100.0, "prometheus": 100.0, OVERALL: 100.0})
        targets.write_text("[]\n")
        result = await _until(loop, {"shop": 0.0})
        assert [one.rule for one in result.recommendations] == ["service_gone"]


@pytest.mark.parametrize("name", ["demo", "loadgen", "exporter", "inbox", "prometheus", "alertmanager", "orders"])
def test_each_watched_program_that_does_not_answer_is_the_incident(name: str) -> None:
    """The stack's own parts and a user's services alike: score 0, the first incident, and what to do."""
    result = _analyzed(_rows(**{name: [0.0] * 4, "mail": []}), _slow("mail"))
    assert _scores(result) | {"mail": None} == {OVERALL: 0.0, name: 0.0, "mail": None}
    incident = result.incidents[0]
    assert incident.is_outage
    assert (incident.services, incident.causes[0].component) == ((name,), "availability")
    assert result.recommendations[0].title == f"Availability: bring {name} back: it does not answer"
