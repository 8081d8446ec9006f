"""Reports of past runs: kept beside the stack, served by every load generator of it, and their content."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client import CollectorRegistry

from perfloop_base.addresses import Address
from perfloop_base.home import find_home
from perfloop_loadgen.reporters import run_reports
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.reporters.run_reports import RunReports, file_name_of
from perfloop_loadgen.reporters.web import MetricsServer
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.verdict import GateResult, Verdict
from tests.loadgen.conftest import build_document

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "2026-11-29 14:05:07Z a/b <shop>"


@pytest.fixture
def stack() -> None:
    """The directory by which a run knows that there is a stack."""
    (find_home() / "targets").mkdir(parents=True)


@asynccontextmanager
async def _serving(reports: RunReports) -> AsyncIterator[httpx.AsyncClient]:
    server = MetricsServer(CollectorRegistry(), lambda: "shop", lambda: True, reports=reports)
    await server.start(Address("127.0.0.1", 0))
    try:
        async with httpx.AsyncClient(base_url=f"http://{server.address}") as client:
            yield client
    finally:
        await server.stop()


@pytest.mark.usefixtures("stack")
async def test_a_runs_name_leads_to_its_report():
    """By the name that the board shows, from another process than the run's; its style is allowed, and no script."""
    RunReports().keep(build_document(0.2, 1, run_name=NAME))
    async with _serving(RunReports()) as client:
        page = await client.get(f"/runs/{NAME}")
        listed = await client.get("/runs/")
        front = await client.get("/")
    assert page.status_code == 200
    assert "<h1>t <span" in page.text
    assert "style-src-attr 'unsafe-inline'" in page.headers["content-security-policy"]
    assert "script-src" not in page.headers["content-security-policy"]
    (link,) = re.findall(r'href="(/runs/2026[^"]*)"', listed.text)
    assert link in front.text
    assert "<style>" in front.text


@pytest.mark.usefixtures("stack")
async def test_a_run_under_way_has_its_figures_of_now_and_then_its_report():
    """The board leads there from the moment at which the run begins."""
    reports = RunReports()
    reports.running = NAME
    async with _serving(reports) as client:
        now = await client.get(f"/runs/{NAME}")
        reports.keep(build_document(0.2, 1, run_name=NAME))
        ended = await client.get(f"/runs/{NAME}")
    assert (now.status_code, "<pre>shop</pre>" in now.text) == (200, True)
    assert "<h1>t <span" in ended.text


@pytest.mark.usefixtures("stack")
async def test_an_unknown_run_is_not_found():
    """Nor is anything outside the directory of reports."""
    (find_home() / "load_reports").mkdir()
    (find_home() / "secret.html").write_text("secret")
    async with _serving(RunReports()) as client:
        for path in ("/runs/none", "/runs/..%2Fsecret.html", "/runs/%2e%2e/secret", "/runs/"):
            answer = await client.get(path)
            assert "secret" not in answer.text, path
            assert answer.status_code == (200 if path == "/runs/" else 404), path


def test_without_a_stack_nothing_is_kept():
    """No directory is made where none is looked for."""
    reports = RunReports()
    reports.keep(build_document(0.2, 1, run_name=NAME))
    assert reports.names() == []
    assert reports.read(NAME) is None
    assert not find_home().exists()


@pytest.mark.usefixtures("stack")
def test_the_oldest_reports_go(monkeypatch: pytest.MonkeyPatch):
    """Their number is bounded, and the newest stay."""
    monkeypatch.setattr(run_reports, "KEPT", 2)
    reports = RunReports()
    for second in range(4):
        reports.keep(build_document(0.2, 1, run_name=f"2026-11-29 14:05:0{second}Z shop"))
    assert reports.names() == ["2026-11-29-14-05-03Z-shop", "2026-11-29-14-05-02Z-shop"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        (NAME, "2026-11-29-14-05-07Z-a-b-shop.html"),
        ("../../etc/passwd", "etc-passwd.html"),
        ("..", "run.html"),
        ("", "run.html"),
        ("x" * 500, f"{'x' * 120}.html"),
    ],
)
def test_no_name_leads_elsewhere(name: str, file: str):
    """Whatever an address or a test's name holds."""
    assert file_name_of(name) == file


def _page(*gates: GateResult) -> str:
    book, tally = Book(Labels(["GET /"])), Tally()
    tally.on_time.record(20_000_000, 100)
    tally.outcomes["ok"] = 98
    tally.outcomes["timeout"] = 2
    tally.checks[("body contains <b>", False)] = 3
    book.add([tally], 1, 1, Load(users=3))
    summary = replace(summarize("t", book, 1), verdict=Verdict.FAILED, reasons=["a reason"], gates=list(gates))
    return RENDERERS["html"](build_document(0.3, 1, summary=summary)).decode()


def test_the_limit_of_a_gate_is_a_line():
    """The strictest gate on response times, that on failures, and the generator's own limits, each with its value."""
    gates = (
        GateResult("p95 < 800 ms", passed=True, value=0.02),
        GateResult("p99 < 400 ms", passed=True, value=0.02),
        GateResult("errors < 1 %", passed=False, value=0.02),
        GateResult("GET /: p50 < 10 ms", passed=False, value=0.02),
        GateResult("max(x) < 5", passed=None, value=None),
        GateResult("rate > 10", passed=True, value=100),
    )
    page = _page(*gates)
    plots = dict(re.findall(r"<figcaption>([A-Z][^<:]*(?:: \w+)?) <span.*?</figcaption>(.*?)</figure>", page))
    limits = {title: re.findall(r"limit [^<,]+", body) for title, body in plots.items()}
    assert limits["Response time"] == ["limit 400 ms"]
    assert limits["Failed requests"] == ["limit 1%"]
    assert limits["Generator: lag"] == ["limit 50 ms"]
    assert limits["Generator: CPU"] == ["limit 90%"]
    assert limits["Rate"] == []


def test_a_report_has_its_gates_checks_and_names():
    """A row for each gate with what it measured, checks as text, and one name for failed requests."""
    page = _page(GateResult("p95 < 0.5 s", passed=True, value=0.02, samples=100, unit="seconds"))
    assert re.search(r"p95 &lt; 0.5 s</td><td><span class=\"chip good\">passed</span></td><td>20 ms</td>", page)
    assert "body contains &lt;b&gt;" in page
    assert "<dt>Failed requests</dt><dd>2 (2.00%)</dd>" in page
    assert not re.search(r"<t[hd][^>]*>errors?<", page, re.IGNORECASE)
    heads = re.search(r"<tr><th>Endpoint</th><th class=\"number\">Requests.*?</tr>", page)
    assert heads
    assert re.findall(r"<th[^>]*>([^<]*)</th>", heads[0])[-1] == "Lag p99"
