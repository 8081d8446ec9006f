"""The exporter's own process: /proc/self (proc_pid_stat(5))."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, counter, gauge, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host

CPU = counter("process_cpu_seconds_total", "User and system CPU time of the exporter.")
RESIDENT = gauge("process_resident_memory_bytes", "Resident memory of the exporter.")
VIRTUAL = gauge("process_virtual_memory_bytes", "Virtual memory of the exporter.")
VIRTUAL_MAX = gauge("process_virtual_memory_max_bytes", "Limit of the exporter's virtual memory, -1 without one.")
START = gauge("process_start_time_seconds", "When the exporter started, in unix time.")
OPEN_FDS = gauge("process_open_fds", "File descriptors that the exporter has open.")
MAX_FDS = gauge("process_max_fds", "File descriptors that the exporter may open.")

# Columns of /proc/self/stat counted from the state, which follows the name in brackets, proc_pid_stat(5).
START_TICKS, VSIZE, RSS_PAGES = 19, 20, 21


class ProcessCollector:
    """Exports the CPU time, memory and descriptors of the exporter itself."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._boot: int | None = None

    def collect(self) -> list[Item]:
        """Return the process_* metrics of the Prometheus client libraries."""
        columns = self._host.read_proc("self/stat").rpartition(")")[2].split()
        if len(columns) <= RSS_PAGES:
            raise CollectorError("/proc/self/stat is cut short")
        import resource  # does not exist on Windows, where portable.py has its own collector

        times = os.times()
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        losses = Losses()
        readings: list[Reading] = [
            single(CPU, round(times.user + times.system, 2)),
            single(VIRTUAL_MAX, limit),
            single(MAX_FDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        ]
        with losses:
            readings.append(single(RESIDENT, whole(columns[RSS_PAGES], "/proc/self/stat") * resource.getpagesize()))
        with losses:
            readings.append(single(VIRTUAL, whole(columns[VSIZE], "/proc/self/stat")))
        with losses:
            seconds = whole(columns[START_TICKS], "/proc/self/stat") / self._host.clock_ticks
            readings.append(single(START, self._boot_time() + seconds))
        with losses:  # without the descriptor that lists the directory
            readings.append(single(OPEN_FDS, len(self._host.entries(f"{self._host.proc}/self/fd")) - 1))
        return losses.settle(readings)

    def _boot_time(self) -> int:
        if self._boot is None:
            text = self._host.read_proc("stat").partition("\nbtime ")[2].partition("\n")[0]
            self._boot = whole(text, "/proc/stat: btime")
        return self._boot
