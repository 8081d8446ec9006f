"""Status codes in every report: 401, 404, 429 and 500 do not look the same."""

from __future__ import annotations

import csv
import json
from itertools import count
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.reporters.exposition import LoadgenCollector
from perfloop_loadgen.reporters.files import RENDERERS
from perfloop_loadgen.reporters.histograms import render
from perfloop_loadgen.reporters.live_view import LiveView
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import MOST_DETAILS, MOST_STATUSES, OTHER, Tally
from perfloop_loadgen.summary.document import Document, from_json, to_json

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

STATUSES = ("200", "401", "404", "429", "500", "503")


@pytest.fixture
async def run(serve: Any) -> tuple[LoadTester, Document, dict[str, int]]:
    """A run against a service that answers with each status in turn, and what it answered."""
    numbers, sent = count(), dict.fromkeys(STATUSES, 0)

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        status = STATUSES[next(numbers) % len(STATUSES)]
        sent[status] += 1
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())

    async with serve(answer) as service:
        base = {"base_url": service.url, "duration_seconds": 0.5, "concurrent_users": 2, "think_time_seconds": 0.005}
        tester = LoadTester(LoadTestConfig.model_validate({**base, "endpoints": [{"path": "/"}]}))
        summary = await tester.run_load_test()
    return tester, tester.document(summary), sent


async def test_every_report_has_every_status(run: tuple[LoadTester, Document, dict[str, int]], tmp_path: Path):
    """To the request, as the service counted them."""
    _, document, sent = run
    assert sum(sent.values()) > len(STATUSES)
    assert document.summary.total.statuses == sent
    lines = list(summary_lines(document.summary))
    reports = {kind: RENDERERS[kind](document).decode() for kind in RENDERERS}
    assert json.loads(reports["json"])["summary"]["endpoints"][0]["statuses"] == sent
    rows = list(csv.DictReader(reports["csv"].splitlines()))
    properties = {one.get("name"): one.get("value") for one in ET.fromstring(reports["junit"]).iter("property")}
    for status, number in sent.items():
        assert f"  {f'status {status}':<22} {number}" in lines
        assert sum(int(row[f"status_{status}"]) for row in rows) == number
        assert properties[f"status {status}"] == str(number)
        assert f"{status}: {number}" in reports["markdown"]
        assert f'<th class="number">{status}</th>' in reports["html"]
        assert f'<td class="number">{number}</td>' in reports["html"]
    path = tmp_path / "r.json"
    path.write_bytes(to_json(document))
    assert from_json(path) == document


async def test_the_live_pages_have_them(run: tuple[LoadTester, Document, dict[str, int]]):
    """The series of the run, and the view in a terminal."""
    tester, _, sent = run
    collector, registry = LoadgenCollector(), CollectorRegistry(auto_describe=False)
    collector.runs = [tester.live()]
    registry.register(collector)
    live = {
        sample.labels["status"]: sample.value
        for family in text_string_to_metric_families(render(registry).decode())
        for sample in family.samples
        if sample.name == "loadgen_responses_total"
    }
    assert live == sent
    console = Console(width=120, record=True)
    console.print(LiveView("t", 10, console).render(1, tester.book))
    shown = console.export_text()
    for status, number in sent.items():
        assert any(line.split()[1::2] == [status, str(number), str(number)] for line in shown.splitlines())


def test_a_report_without_them_is_still_read(tmp_path: Path, run: tuple[LoadTester, Document, dict[str, int]]):
    """Those of earlier versions."""
    plain = json.loads(to_json(run[1]))
    for part in (plain["summary"]["total"], *plain["summary"]["endpoints"]):
        for name in ("statuses", "details", "broken_off"):
            del part[name]
    for point in plain["timeline"]:
        del point["statuses"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(plain))
    assert from_json(path).summary.total.statuses == {}


def test_made_up_statuses_and_places_are_bounded():
    """A server that never repeats itself: what is beyond the limit is counted together, and nothing is lost."""
    book = Book(Labels(["GET /"]))
    for start in range(100, 1000, 100):
        tally = Tally()
        for status in range(start, start + 100):
            tally.statuses[status] += 1
            tally.note("redirect", f"302 to /{status}")
        book.add([tally], 1, 1, Load())
    total = book.total()
    assert len(total.statuses) <= MOST_STATUSES + 1
    assert sum(total.statuses.values()) == 900
    assert total.statuses_by_name()[OTHER] == 900 - MOST_STATUSES
    assert len(total.details) <= MOST_DETAILS + 1
    assert sum(total.details.values()) == 900


def test_the_wire_form_has_them():
    """What a worker counted is what its parent has."""
    tally = Tally()
    tally.statuses[404] += 2
    tally.note("missing_value", "token")
    tally.steps[0, 1, True] += 3
    tally.broken_off = 3
    there = Tally.from_wire(tally.to_wire())
    there.add(tally)
    assert (there.statuses[404], there.details["missing_value", "token"], there.steps[0, 1, True]) == (4, 2, 6)
    assert there.broken_off == 6
