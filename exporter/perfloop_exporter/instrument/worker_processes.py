"""What worker processes cost: `process_*` of whoever answers would be nobody's series, so they are added up."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.metrics.registry import MetricRegistry

log = logging.getLogger("perfloop")

_PID = ("pid",)


class OwnProcess:
    """This worker's share of the service's `process_*`, under prometheus_client's names."""

    def __init__(self, registry: MetricRegistry) -> None:
        self._cpu = registry.counter("process_cpu_seconds_total", "CPU time of all worker processes.")
        self._memory = registry.gauge("process_resident_memory_bytes", "Resident memory of all worker processes.")
        self._files = registry.gauge("process_open_fds", "Open file descriptors of all worker processes.")
        self._start = registry.gauge("process_start_time_seconds", "When the newest worker started.", latest=True)

    def update(self) -> None:
        """Read the process as it is now."""
        process = psutil.Process()
        times = process.cpu_times()
        self._cpu.labels().total = times.user + times.system
        self._memory.labels().set(process.memory_info().rss)
        self._files.labels().set(process.num_fds())
        self._start.labels().set(process.create_time())


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
