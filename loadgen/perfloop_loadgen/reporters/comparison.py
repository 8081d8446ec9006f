"""A comparison as a Markdown table: it reads well in a terminal and in a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_loadgen.reporters.text import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.compare.runs import Row


def comparison_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the table."""
    yield "| measure | base | new | change | 95 % interval | finding |"
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
