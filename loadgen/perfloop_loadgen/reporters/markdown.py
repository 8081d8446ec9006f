"""Markdown, for a terminal and for the comment under a pull request: one run."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from perfloop_base.traces import URL_VARIABLE, trace_link
from perfloop_base.visible import visible
from perfloop_loadgen.reporters.server_report import HEADINGS, server_rows
from perfloop_loadgen.reporters.streams import stream_sentences, stream_times
from perfloop_loadgen.reporters.text import (
    SENT_AGAIN,
    connections_line,
    detail_line,
    gate_line,
    seconds,
    statuses_line,
    traced_requests,
)
from perfloop_loadgen.reporters.worker_report import HEADINGS as WORKER_HEADINGS
from perfloop_loadgen.reporters.worker_report import worker_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.summary import EndpointSummary, Summary
    from perfloop_loadgen.summary.document import Document
    from perfloop_loadgen.summary.repeats import Repeats
    from perfloop_loadgen.summary.server import Server
    from perfloop_loadgen.summary.workers import WorkerFigures


_MARKUP = re.compile(r"^>|[\\`|<&\[\]*~!@#]|(?<!\w)_|_(?!\w)")
# An `@` before a name notifies its owner, `#` and a number link to an issue; a backslash does not keep them from it.
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "#": "&#35;"}


def render_markdown(document: Document) -> bytes:
    """Return verdict, numbers and gates in little space."""
    summary = document.summary
    lines = [
        f"### {safe(summary.name)}: {summary.verdict}",
        "",
        *(f"- {safe(reason)}" for reason in summary.reasons),
        "",
        _headline(summary),
        "",
        "| endpoint | requests | failed requests | p50 | p95 | p99 |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(endpoint) for endpoint in (summary.total, *summary.endpoints)),
        "",
        f"Status codes: {safe(statuses_line(summary.total.statuses)) or 'none, nothing was answered'}.",
        *_connections(summary),
        *_details(summary),
        *_streams(summary),
        *_traces(summary),
    ]
    if summary.gates:
        lines += ["", *(f"- {safe(gate_line(gate))}" for gate in summary.gates)]
    if document.server is not None:
        lines += ["", *_server(document.server)]
    if document.workers:
        lines += ["", *_workers(document.workers)]
    if document.repeats is not None:
        lines += ["", *_repeats(document.repeats)]
    if summary.notes:
        lines += ["", *(f"- Note: {safe(note)}" for note in summary.notes)]
    lines += [
        "",
        f"Run `{document.run_id}`, {document.started_at}, {document.profile} against {safe(document.base_url)}.",
    ]
    return ("\n".join(lines) + "\n").encode()


def _connections(summary: Summary) -> Iterator[str]:
    total = summary.total
    if total.connections:
        yield ""
        yield f"Connections: {safe(connections_line(total))}."
    if total.retried:
        yield ""
        yield f"{total.retried} requests were sent again: {SENT_AGAIN}."


def _streams(summary: Summary) -> Iterator[str]:
    for endpoint in summary.endpoints:
        if endpoint.streams is None or not endpoint.streams.answers:
            continue
        yield ""
        for name, times, _ in stream_times(endpoint.streams):
            values = ", ".join(f"{shown} {seconds(times.quantiles_seconds[shown])}" for shown in ("p50", "p95", "p99"))
            yield f"- {safe(endpoint.label)}: {name} {values}"
        yield from (f"- {safe(one)}" for one in stream_sentences(endpoint.streams, summary.duration_seconds))


def _traces(summary: Summary) -> Iterator[str]:
    found = traced_requests(summary.total)
    if not found:
        return
    store = os.environ.get(URL_VARIABLE, "")
    yield ""
    yield "| trace | endpoint | outcome | response time |"
    yield "|---|---|---|---:|"
    for _, one in found:
        link = trace_link(store, one.trace_id)
        name = f"[{one.trace_id}]({link})" if link else f"`{one.trace_id}`"
        yield f"| {name} | {safe(one.endpoint)} | {safe(one.outcome)} | {seconds(one.seconds)} |"


def _server(server: Server) -> Iterator[str]:
    yield f"| {' | '.join(HEADINGS)} |"
    yield "|---|---:|---:|---:|"
    yield from (f"| {' | '.join(map(safe, row))} |" for row in server_rows(server))
    yield ""
    if server.missing:
        yield f"- No data in Prometheus: {safe(', '.join(server.missing))}"
    yield from (f"- {safe(problem)}" for problem in server.problems)


def _workers(workers: Sequence[WorkerFigures]) -> Iterator[str]:
    yield f"| {' | '.join(WORKER_HEADINGS)} |"
    yield f"|---|---|{'---:|' * (len(WORKER_HEADINGS) - 3)}---|"
    yield from (f"| {' | '.join(map(safe, row))} |" for row in worker_rows(workers))


def _repeats(repeats: Repeats) -> Iterator[str]:
    yield "| run | verdict | requests | failed requests | p50 | p95 | p99 | left out |"
    yield "|---|---|---:|---:|---:|---:|---:|---|"
    for number, run in enumerate(repeats.runs, 1):
        times = (seconds(value) for value in (run.p50_seconds, run.p95_seconds, run.p99_seconds))
        cells = (str(number), run.verdict, str(run.requests), f"{run.error_ratio:.2%}", *times, run.left_out)
        yield "| " + " | ".join(map(safe, cells)) + " |"


def _headline(summary: Summary) -> str:
    rate, failed = summary.requests_per_second, summary.error_rate_percent
    requests = f"{summary.total_requests} requests in {summary.duration_seconds:.1f} s ({rate:.1f}/s)"
    return f"{requests}, {failed:.2f}% failed requests."


def _details(summary: Summary) -> Iterator[str]:
    found = [(one.label, detail) for one in summary.endpoints for detail in one.details]
    if found:
        yield ""
        yield from (f"- {safe(label)}: {safe(detail_line(detail))}" for label, detail in found)


def _row(endpoint: EndpointSummary) -> str:
    times = endpoint.response.quantiles_seconds
    cells = (
        endpoint.label,
        endpoint.total_requests,
        endpoint.failed_requests,
        *(seconds(times[p]) for p in ("p50", "p95", "p99")),
    )
    return "| " + " | ".join(safe(str(cell)) for cell in cells) + " |"


def safe(text: str) -> str:
    """Keep the words of a test, a service or a server from becoming table borders, markup, links or mentions."""
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0]) or f"\\{found[0]}", visible(text))
