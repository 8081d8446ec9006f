"""What each worker process costs: with several of them, `process_*` of whoever answers would be nobody's series."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil

from exporter.metrics.registry import MetricRegistry

_PID = ("pid",)


def count_processes(registry: MetricRegistry, pids: Iterable[int]) -> None:
    """Add the number of workers, and CPU time, memory and start of each, to what a scrape answers."""
    workers = registry.gauge("perfloop_workers", "Worker processes that are alive.").labels()
    cpu = registry.counter("perfloop_worker_cpu_seconds_total", "CPU time of a worker process.", _PID)
    memory = registry.gauge("perfloop_worker_resident_memory_bytes", "Resident memory of a worker process.", _PID)
    start = registry.gauge("perfloop_worker_start_time_seconds", "When a worker process started.", _PID)
    for pid in pids:
        workers.inc()
        with contextlib.suppress(psutil.Error):  # it ended a moment ago
            process = psutil.Process(pid)
            times = process.cpu_times()
            cpu.labels(str(pid)).inc(times.user + times.system)
            memory.labels(str(pid)).set(process.memory_info().rss)
            start.labels(str(pid)).set(process.create_time())
