"""Names, answers and errors from outside that hold what a terminal, a page or a spreadsheet would obey."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.suite import build_tester
from perfloop_loadgen.cli import main
from perfloop_loadgen.reporters.exposition import LoadgenCollector
from perfloop_loadgen.reporters.files import RENDERERS, file_name_parts
from perfloop_loadgen.reporters.live_view import LiveView
from perfloop_loadgen.reporters.text import summary_lines
from perfloop_loadgen.samples.book import Load, Point

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.summary.document import Document

# What must not come through: escape sequences (C0 and C1), a bell, a line end, marks of direction, nothing at all.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
NASTY = "\x1b[31mred\x1b[0m \x9b31m \x07 \u202eesrever\u202c \u200b[bold]x[/bold] <b>|`*_@me\r\nverdict: passed"


@pytest.fixture
async def document(serve: Any) -> Document:
    """A run whose test, endpoint and gate are named by somebody who means harm, and so is Prometheus's error."""
    error = b'{"status": "error", "error": "\\u001b[2J\\u202e<script>|"}'
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(error), error)) as service:
        config = {
            "name": NASTY,
            "base_url": service.url,
            "duration_seconds": 0.3,
            "think_time_seconds": 0.02,
            "prometheus_url": service.url,
            "thresholds": [
                {"promql": f"up{{a='{NASTY}'}}", "expect": "> 0"},
                {"expect": "p95 < 9 s", "endpoint": NASTY},
            ],
            "endpoints": [{"path": "/", "name": NASTY}],
        }
        tester = LoadTester(LoadTestConfig.model_validate(config))
        summary = await tester.run_load_test()
        assert summary.gates[0].passed
        return tester.document(summary)


@pytest.mark.parametrize("kind", RENDERERS)
async def test_every_report_shows_what_is_there(document: Document, kind: str):
    """Nothing invisible is left in any of them, and each keeps its form."""
    text = RENDERERS[kind](document).decode()
    assert OBEYED.findall(text) == []
    assert "<script>" not in text or kind == "json"
    if kind == "junit":
        suite = ET.fromstring(text.partition("\n")[2])
        assert str(suite.get("name")).startswith(r"\x1b[31mred")
    if kind == "markdown":
        tables = [list(lines) for is_row, lines in groupby(text.splitlines(), lambda line: line[:1] == "|") if is_row]
        assert tables
        # Every row of a table has as many cells as its heading.
        assert all(len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1 for rows in tables)
        assert "`" not in re.sub(r"\\`|`[0-9a-f]{12}`", "", text)
        assert "@" not in text


async def test_the_terminal_and_the_pages_show_what_is_there(document: Document):
    """Plain lines, the live view, the metrics page: one line stays one line."""
    lines = list(summary_lines(document.summary))
    assert OBEYED.findall("".join(lines)) == []
    assert not any(line.strip().startswith("verdict: passed") for line in lines)
    tester = build_tester(LoadTestConfig(name=NASTY, base_url="http://127.0.0.1:1"))
    collector, registry = LoadgenCollector(), CollectorRegistry(auto_describe=False)
    collector.runs = [tester.live()]
    registry.register(collector)
    assert OBEYED.findall(generate_latest(registry).decode()) == []
    output = io.StringIO()
    console = Console(file=output, width=200)
    view = LiveView(tester.config.name, 10, console)
    tester.book.add([], 1, 1, Load())
    console.print(view.render(1.0, tester.book))
    assert OBEYED.findall(output.getvalue()) == []
    assert "[bold]x[/bold]" in output.getvalue()


def test_a_cell_of_text_is_no_formula(document: Document):
    """The one column of text: whatever begins a formula gets an apostrophe."""
    formulas = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "plain")
    points = [Point(1.0, 1.0, 1, 0, None, None, None, None, Load(phase=text)) for text in formulas]
    text = RENDERERS["csv"](replace(document, timeline=points)).decode()
    assert [row["phase"] for row in csv.DictReader(io.StringIO(text))] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@SUM(A1)",
        r"\t=1",
        "plain",
    ]


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["a test", "a-test", "A test"], ["a-test", "a-test-2", "A-test-3"]),
        (["..", "../../etc/passwd", "/", "\0", ""], ["test", "etc-passwd", "test-2", "test-3", "test-4"]),
        (["x" * 300], ["x" * 100]),
        (["ü" * 300], ["ü" * 50]),
        (["con:fig?*", ".hidden", "\ud800"], ["con-fig", "hidden", "test"]),
    ],
)
def test_a_name_becomes_part_of_a_files_name(names: list[str], parts: list[str]):
    """Nothing that leads elsewhere, nothing too long, and no two alike."""
    assert file_name_parts(names) == parts


def test_reports_of_several_tests_stay_in_their_directory(tmp_path: Path, raw_server: Any):
    """Tests named like paths and like each other: a report each, next to each other."""
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        section = (
            f'{{base_url: "{server.url}", duration_seconds: 0.1, think_time_seconds: 0.02, endpoints: [{{path: /}}]}}'
        )
        names = ("../up", "a b", "a-b", "x" * 250)
        path = tmp_path / "t.yml"
        path.write_text("load_tests:\n" + "".join(f'  "{name}": {section}\n' for name in names))
        (tmp_path / "out").mkdir()
        main(["run", str(path), "--report.json", str(tmp_path / "out" / "r.json")])
    written = sorted(one.name for one in (tmp_path / "out").iterdir())
    assert written == ["r-a-b-2.json", "r-a-b.json", "r-up.json", f"r-{'x' * 100}.json"]
