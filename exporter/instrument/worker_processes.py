"""What each worker process costs: with several of them, `process_*` of whoever answers would be nobody's series."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable

import psutil

from exporter.metrics.registry import MetricRegistry

log = logging.getLogger("perfloop")

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


def forget_client_process(pid: int) -> None:
    """Where prometheus_client runs in its multi-process mode: the dead worker's live gauges end there, too."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return
    from prometheus_client import multiprocess

    try:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # prometheus_client has no types here
    except OSError as error:
        log.warning("The gauges of the dead worker %d stay in PROMETHEUS_MULTIPROC_DIR: %s", pid, error)
