"""The workers of a run in reports: which sent what, and how near to its own limits each of them was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.summary.workers import WorkerFigures

HEADINGS = (
    *("worker", "machine", "requests", "dropped", "schedule lag p99", "CPU, cores", "busiest second"),
    *("event loop p99", "network card", "clock ahead", "began late", "lost"),
)


def worker_rows(workers: Sequence[WorkerFigures]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each worker, as people read them."""
    for one in workers:
        yield (
            f"{one.number} {one.name}".rstrip(),
            one.host,
            str(one.requests),
            str(one.dropped),
            _seconds(one.schedule_lag_p99_seconds),
            f"{one.cpu_ratio:.2f}",
            f"{one.busiest_cpu_ratio:.2f}",
            _seconds(one.event_loop_lag_p99_seconds),
            f"{one.network_ratio:.0%}" if one.network_ratio else "",
            _clock(one),
            _seconds(one.began_late_seconds),
            one.lost,
        )


def worker_lines(workers: Sequence[WorkerFigures]) -> Iterator[str]:
    """Yield the section of the text report: a line for each worker, with what there is to say of it."""
    for row in worker_rows(workers):
        said = ", ".join(f"{heading} {cell}" for heading, cell in zip(HEADINGS[1:], row[1:], strict=True) if cell)
        yield f"worker {row[0]}: {said}"


def _seconds(value: float | None) -> str:
    return "" if value is None else quantity(value, "seconds")


def _clock(worker: WorkerFigures) -> str:
    if worker.clock_offset_seconds is None:
        return ""
    return f"{quantity(worker.clock_offset_seconds, 'seconds')} ± {quantity(worker.clock_error_seconds, 'seconds')}"
