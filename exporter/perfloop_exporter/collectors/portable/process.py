"""The exporter's own cost, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.families import Reading, single
from perfloop_exporter.collectors.process import CPU, RESIDENT, START, VIRTUAL

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host


class ProcessCollector:
    """Tells what the exporter itself takes."""

    def __init__(self, _host: Host) -> None:
        self._process = psutil.Process()

    def collect(self) -> list[Reading]:
        """CPU, memory and start of this process."""
        times, memory = self._process.cpu_times(), self._process.memory_info()
        return [
            single(CPU, times.user + times.system),
            single(RESIDENT, memory.rss),
            single(VIRTUAL, memory.vms),
            single(START, self._process.create_time()),
        ]
