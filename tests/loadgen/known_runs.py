"""Runs with a known level: what comparisons are tested with."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from perfloop_loadgen.samples.book import Book, Load, Point
from perfloop_loadgen.samples.histogram import SECOND
from perfloop_loadgen.samples.labels import Labels
from perfloop_loadgen.samples.tally import Tally
from perfloop_loadgen.summary import summarize
from tests.loadgen.conftest import build_document

if TYPE_CHECKING:
    from perfloop_loadgen.summary.document import Document

_IDS = itertools.count(1)


def build_run(
    levels: dict[str, float] | float, seed: int, spread: float = 0.01, failed: int = 0, **changes: Any
) -> Document:
    """Return a run of 200 requests an endpoint, with times around its level (in seconds), which varies by run."""
    chance = random.Random(seed)
    by_label = levels if isinstance(levels, dict) else {"GET /": levels}
    book = Book(Labels(list(by_label)))
    windows = []
    for level in by_label.values():
        tally, own = Tally(), level * chance.lognormvariate(0, spread)
        for number in range(200):
            tally.on_time.record(round(own * (1 + number / 400) * SECOND))
        tally.outcomes["ok"] = 200 - failed
        if failed:
            tally.outcomes["wrong_status"] = failed
        windows.append(tally)
    book.add(windows, 10.0, 10.0, Load(users=5))
    points = [
        Point(float(n), 1.0, 20, 0, *[own * chance.lognormvariate(0, 0.02)] * 3, 0.0, Load(users=5)) for n in range(20)
    ]
    document = build_document(0.1, seed, run_id=f"run{next(_IDS)}", summary=summarize("t", book, 10.0), timeline=points)
    return replace(document, **changes)


def build_runs(
    levels: dict[str, float] | float, count: int, seed: int, spread: float = 0.01, **changes: Any
) -> list[Document]:
    """Return so many runs of one build."""
    return [build_run(levels, 1000 * seed + number, spread, **changes) for number in range(count)]
