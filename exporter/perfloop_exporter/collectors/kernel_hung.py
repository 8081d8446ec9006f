"""Tasks that hung: /proc/sys/kernel/hung_task_detect_count (kernel: kernel/hung_task.c, since 6.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import counter, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

TASKS = counter("node_kernel_hung_tasks_total", "Tasks that the kernel found hung since it was booted.")
FILE = "sys/kernel/hung_task_detect_count"


class KernelHungCollector:
    """Exports how often a task was found hung, in most distributions after two minutes in uninterruptible sleep."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one counter.

        Raises:
            NoDataError: The kernel is older, or does not look for hung tasks.
        """
        count = whole(self._host.read_proc(FILE), f"/proc/{FILE}")
        if count < 0:
            raise CollectorError(f"/proc/{FILE}: {count} is less than 0")
        return [single(TASKS, count)]


SPEC = Spec("kernel_hung", seldom(KernelHungCollector), "hung tasks")
