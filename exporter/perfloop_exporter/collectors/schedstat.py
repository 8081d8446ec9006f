"""Time that tasks ran on each CPU and waited for it: /proc/schedstat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Sample, counter
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

RUNNING = counter("node_schedstat_running_seconds_total", "Seconds that tasks ran on a CPU.", "cpu")
WAITING = counter("node_schedstat_waiting_seconds_total", "Seconds that tasks waited for a CPU.", "cpu")
TIMESLICES = counter("node_schedstat_timeslices_total", "Time slices that ran on a CPU.", "cpu")
NANOSECONDS = 1_000_000_000
# The columns of a cpu line counted from its name, kernel: Documentation/scheduler/sched-stats.rst.
RUNNING_COLUMN, WAITING_COLUMN, TIMESLICES_COLUMN = 7, 8, 9


class SchedstatCollector:
    """Exports running time, waiting time and time slices by CPU."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one sample per CPU, nanoseconds converted to seconds."""
        losses = Losses()
        running: list[Sample] = []
        waiting: list[Sample] = []
        slices: list[Sample] = []
        columns = ((running, RUNNING_COLUMN, NANOSECONDS), (waiting, WAITING_COLUMN, NANOSECONDS))
        for line in lines_of(self._host.read_proc("schedstat")):
            if not line.startswith("cpu"):
                continue
            words = columns_of(line)
            cpu = (words[0].removeprefix("cpu"),)
            with losses:
                if len(words) <= TIMESLICES_COLUMN:
                    raise CollectorError(f"/proc/schedstat: '{line[:60]}' is cut short")
                for samples, column, divide in columns:
                    samples.append((cpu, whole(words[column], "/proc/schedstat") / divide))
                slices.append((cpu, whole(words[TIMESLICES_COLUMN], "/proc/schedstat")))
        return losses.settle([(RUNNING, running), (WAITING, waiting), (TIMESLICES, slices)])


SPEC = Spec("schedstat", SchedstatCollector, "time that tasks ran and waited")
