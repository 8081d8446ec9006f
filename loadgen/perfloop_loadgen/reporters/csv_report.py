"""The timeline as CSV: one row a second (or a stretch of a long run)."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from perfloop_base.visible import csv_cell, visible

if TYPE_CHECKING:
    from perfloop_loadgen.summary.document import Document

COLUMNS = (
    "elapsed_seconds",
    "span_seconds",
    "requests",
    "errors",
    "p50_seconds",
    "p95_seconds",
    "p99_seconds",
    "lag_p99_seconds",
)
LOAD_COLUMNS = ("users", "target_rate", "cpu_ratio", "loop_lag_seconds", "phase")


def render_csv(document: Document) -> bytes:
    """Return the timeline; the last columns are the status codes of the answers, `status_200` and so on."""
    text = io.StringIO()
    statuses = sorted({status for point in document.timeline for status in point.statuses})
    # RFC 4180 has CRLF; every reader takes LF, and diffs and `wc -l` prefer it.
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *LOAD_COLUMNS, *(f"status_{status.strip('()')}" for status in statuses)])
    for point in document.timeline:
        row = [getattr(point, column) for column in COLUMNS]
        load = [_cell(getattr(point.load, column)) for column in LOAD_COLUMNS]
        writer.writerow([*row, *load, *(point.statuses.get(status, 0) for status in statuses)])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return csv_cell(visible(value)) if isinstance(value, str) else value
