"""What each CPU spent its time on, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.cpu import SECONDS
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# psutil's names for modes that node_exporter calls otherwise; guest time is counted in user time too.
RENAMED = {"interrupt": "irq"}
LEFT_OUT = frozenset({"guest", "guest_nice"})


class CpuCollector:
    """Tells the CPU times."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """The seconds by CPU and mode."""
        samples = [
            ((str(cpu), RENAMED.get(mode, mode)), seconds)
            for cpu, times in enumerate(psutil.cpu_times(percpu=True))
            for mode, seconds in times._asdict().items()
            if mode not in LEFT_OUT
        ]
        return [(SECONDS, samples)]


SPEC = Spec("cpu", CpuCollector, "CPU time by mode")
