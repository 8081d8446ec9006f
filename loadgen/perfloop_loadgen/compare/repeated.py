"""A report of a test that was repeated, as the runs that it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.summary.document import Document
    from perfloop_loadgen.summary.repeats import RepeatRow


def single_runs(documents: Sequence[Document]) -> Iterator[Document]:
    """Yield each run: a report of a repeated test has its runs' figures of all endpoints together, and no others."""
    for document in documents:
        if document.repeats is None:
            yield document
        else:
            yield from (_single(document, row) for row in document.repeats.runs if not row.left_out)


def _single(document: Document, row: RepeatRow) -> Document:
    times = {"p50": row.p50_seconds, "p95": row.p95_seconds, "p99": row.p99_seconds}
    total = document.summary.total
    response = replace(total.response, count=row.requests, quantiles_seconds=total.response.quantiles_seconds | times)
    failed = round(row.error_ratio * row.requests)
    total = replace(total, total_requests=row.requests, failed_requests=failed, response=response, streams=None)
    summary = replace(
        document.summary,
        total=total,
        endpoints=[],
        verdict=row.verdict,
        duration_seconds=row.requests / row.rate if row.rate else document.summary.duration_seconds,
    )
    return replace(
        document,
        run_id=row.run_id,
        started_at=row.started_at,
        summary=summary,
        timeline=[],
        repeats=None,
    )
