"""Load tests: when one began, went to another phase, and ended."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfloop_analyzer.changes.record import Change, Kind, seen
from perfloop_analyzer.changes.rows import Row, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.series import Batch

RUNS = "max by (test, run_id) (loadgen_run_start_timestamp_seconds)"
PHASES = "max by (test, run_id, phase) (loadgen_phase)"
SERVICE = "loadgen"
GONE_POINTS = 3
MOST_PHASES = 6  # a search has a phase for each of its steps: they are no news


def find_load_tests(runs: Batch | None, phases: Batch | None) -> Iterator[Change]:
    """Yield the beginnings, phases and ends of load tests."""
    for row in rows_of(runs):
        name, last = _name(row), runs.grid.points - 1 if runs else 0
        started = min(float(row.values[0]), float(row.times[0]))
        if row.index[0] > 0:
            yield seen(Kind.LOAD_TEST, SERVICE, f"{name} began", started)
        if last - row.index[-1] >= GONE_POINTS:
            yield seen(Kind.LOAD_TEST, SERVICE, f"{name} ended", float(row.times[-1]))
    of_run: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(phases):
        of_run[row.labels.get("run_id", "")].append(row)
    for rows in of_run.values():
        first = min(row.index[0] for row in rows)
        later = [row for row in rows if row.index[0] > first]
        for row in later if len(rows) <= MOST_PHASES else ():
            title = f"{_name(row)} went to its phase {row.labels.get('phase', '')}"
            yield seen(Kind.LOAD_TEST, SERVICE, title, float(row.times[0]))


def _name(row: Row) -> str:
    return f"load test {row.labels.get('test', '')}".rstrip()
