"""Runs to store: documents with the figures that a test needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.samples.book import Book, Load
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary import summarize
from perfloop_loadgen.summary.document import distribution_of
from perfloop_loadgen.summary.measured import config_hash, histograms_of
from perfloop_loadgen.summary.verdict import Verdict
from tests.loadgen.conftest import build_document

if TYPE_CHECKING:
    from perfloop_loadgen.summary.document import Document

# 2026-01-01, in Unix seconds.
NEW_YEAR = 1_767_225_600.0
HOUR = 3600.0


def build_book(p50_seconds: float = 0.1, requests: int = 200) -> Book:
    """Return a book of two endpoints, one of them with failures, over two seconds."""
    book = Book(Labels(["GET /", "POST /cart"]))
    for second in (1.0, 2.0):
        windows = [Tally(), Tally()]
        for number in range(requests // 2):
            windows[0].on_time.record(round((p50_seconds + number * 1e-5) * SECOND))
            windows[0].outcomes["ok"] += 1
        windows[1].record_behind(0, 30_000_000, 90_000_000)
        windows[1].outcomes["timeout"] += 1
        windows[1].checks["json: state", False] += 1
        windows[1].bytes_received += 17
        book.add(windows, second, 1.0, Load(users=3))
    return book


def run(number: int = 0, p95: float = 0.1, **changes: Any) -> Document:
    """Return the run number `number` of the test `shop`: its id, an hour after the one before, with this p95."""
    book = build_book(p95)
    test = changes.pop("test", "shop")
    verdict = changes.pop("verdict", Verdict.PASSED)
    document = build_document(p95, number)
    return replace(
        document,
        **{
            "run_id": f"{number:012x}",
            "started_at": datetime.fromtimestamp(NEW_YEAR + number * HOUR, UTC).isoformat(),
            "summary": replace(summarize(test, book, 2.0), verdict=verdict),
            "distribution": distribution_of(book.total().response),
            "histograms": histograms_of(book),
            "config_hash": config_hash(document.config),
            **changes,
        },
    )
