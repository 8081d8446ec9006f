"""Markdown, for a terminal and for the comment under a pull request: one run, or two side by side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_base.visible import visible
from perfloop_loadgen.reporters.text import gate_line, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.compare.runs import Row
    from perfloop_loadgen.summary import EndpointSummary, Summary
    from perfloop_loadgen.summary.document import Document


_MARKUP = re.compile(r"^>|[\\`|<&\[\]*~!@#]|(?<!\w)_|_(?!\w)")
# An `@` before a name notifies its owner, `#` and a number link to an issue; a backslash does not keep them from it.
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "#": "&#35;"}


def render_markdown(document: Document) -> bytes:
    """Return verdict, numbers and gates in little space."""
    summary = document.summary
    lines = [
        f"### {_safe(summary.name)}: {summary.verdict}",
        "",
        *(f"- {_safe(reason)}" for reason in summary.reasons),
        "",
        _headline(summary),
        "",
        "| endpoint | requests | failed requests | p50 | p95 | p99 |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(endpoint) for endpoint in (summary.total, *summary.endpoints)),
    ]
    if summary.gates:
        lines += ["", *(f"- {_safe(gate_line(gate))}" for gate in summary.gates)]
    if summary.notes:
        lines += ["", *(f"- Note: {_safe(note)}" for note in summary.notes)]
    lines += [
        "",
        f"Run `{document.run_id}`, {document.started_at}, {document.profile} against {_safe(document.base_url)}.",
    ]
    return ("\n".join(lines) + "\n").encode()


def comparison_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a comparison as a table."""
    yield "| measure | base | new | change | 95% interval | finding |"
    yield "|---|---:|---:|---:|---:|---|"
    for row in rows:
        change = "-" if row.change is None else f"{row.change.ratio:+.1%}"
        interval = "-" if row.change is None else f"{row.change.low:+.1%} to {row.change.high:+.1%}"
        cells = (row.name, _value(row.name, row.base), _value(row.name, row.new), change, interval, row.finding)
        yield f"| {' | '.join(cells)} |"


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return seconds(value) if name.endswith("_seconds") else f"{value:.4g}"


def _headline(summary: Summary) -> str:
    rate, failed = summary.requests_per_second, summary.error_rate_percent
    requests = f"{summary.total_requests} requests in {summary.duration_seconds:.1f} s ({rate:.1f}/s)"
    return f"{requests}, {failed:.2f}% failed requests."


def _row(endpoint: EndpointSummary) -> str:
    times = endpoint.response.quantiles_seconds
    cells = (
        endpoint.label,
        endpoint.total_requests,
        endpoint.failed_requests,
        *(seconds(times[p]) for p in ("p50", "p95", "p99")),
    )
    return "| " + " | ".join(_safe(str(cell)) for cell in cells) + " |"


def _safe(text: str) -> str:
    """Keep the words of a test, a service or a server from becoming table borders, markup, links or mentions."""
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0]) or f"\\{found[0]}", visible(text))
