"""Several workers in reports, on the metrics page and in the terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from rich.console import Console

from perfloop_loadgen.reporters.exposition import LiveRun, LoadgenCollector
from perfloop_loadgen.reporters.html_report import render_html
from perfloop_loadgen.reporters.live_view import LiveView
from perfloop_loadgen.reporters.markdown import render_markdown
from perfloop_loadgen.reporters.worker_report import worker_lines
from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.summary.workers import WorkerFigures
from tests.loadgen.known_runs import build_run

if TYPE_CHECKING:
    from collections.abc import Sequence

WORKERS = [
    WorkerFigures(1, 2, "tcp://a:1", "one", 60, 0, 0.0002, 0.31, 0.4, 0.0003),
    WorkerFigures(
        number=2,
        of=2,
        name="tcp://b:2",
        host="<two>",
        requests=40,
        dropped=3,
        network_ratio=0.5,
        clock_offset_seconds=12.5,
        clock_error_seconds=0.0004,
        lost="died before the run was over",
    ),
]


def test_each_worker_has_a_line():
    """What is not known is left out."""
    one, other = worker_lines(WORKERS)
    assert one == (
        "worker 1 tcp://a:1: machine one, requests 60, dropped 0, schedule lag p99 200 µs, CPU, cores 0.31, "
        "busiest second 0.40, event loop p99 300 µs, began late 0 s"
    )
    assert "network card 50%, clock ahead 12.5 s ± 400 µs" in other
    assert other.endswith("lost died before the run was over")


def test_reports_have_a_table_of_workers():
    """In HTML and Markdown, with foreign names escaped; without workers there is none."""
    document = build_run(0.1, 1)
    page, text = (render(replace(document, workers=WORKERS)).decode() for render in (render_html, render_markdown))
    assert "<h2>Workers</h2>" in page
    assert "&lt;two&gt;" in page
    assert "| worker | machine | requests |" in text
    assert "<h2>Workers</h2>" not in render_html(document).decode()


def _book() -> Book:
    book = Book(Labels(["/"]))
    book.add([], 1.0, 1.0, Load(users=3, target_rate=100.0, cpu_ratio=0.4))
    return book


def test_the_metrics_page_has_every_worker():
    """All of them at the coordinator; one that is lost is not up."""
    collector = LoadgenCollector()
    collector.runs = [LiveRun("shop", "abc", "constant_rate", _book(), workers=lambda: WORKERS)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)

    def value(name: str, worker: str) -> float | None:
        return registry.get_sample_value(name, {"test": "shop", "run_id": "abc", "worker": worker})

    assert [value("loadgen_worker_up", worker) for worker in "12"] == [1, 0]
    assert [value("loadgen_worker_requests_total", worker) for worker in "12"] == [60, 40]
    assert value("loadgen_worker_cpu_used_ratio", "1") == 0.31
    assert value("loadgen_worker_schedule_lag_seconds", "2") is None


def test_the_terminal_names_workers_that_are_lost():
    """Beside the busiest one's CPU."""

    def drawn(workers: Sequence[WorkerFigures]) -> str:
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(LiveView("shop", 10.0, console, lambda: workers).render(1.0, _book()))
        return console.export_text()

    assert "busiest worker 40% of a core  2 workers, lost: 2" in drawn(WORKERS)
    assert "generator 40% of a core" in drawn([])
