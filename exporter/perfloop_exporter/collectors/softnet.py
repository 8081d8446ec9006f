"""Packet processing by CPU: /proc/net/softnet_stat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Sample, counter, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# Columns in use (kernel: net/core/net-procfs.c); older kernels have only the first nine or eleven.
COLUMNS: dict[int, Family] = {
    0: counter("node_softnet_processed_total", "Packets processed.", "cpu"),
    1: counter("node_softnet_dropped_total", "Packets dropped because the backlog was full.", "cpu"),
    2: counter("node_softnet_times_squeezed_total", "Times the work was cut off with packets left.", "cpu"),
    8: counter("node_softnet_cpu_collision_total", "Collisions on a device's lock while sending.", "cpu"),
    9: counter("node_softnet_received_rps_total", "Times a CPU was woken to take packets over.", "cpu"),
    10: counter("node_softnet_flow_limit_count_total", "Packets dropped by the flow limit.", "cpu"),
    11: gauge("node_softnet_backlog_len", "Packets that wait in the backlog.", "cpu"),
}
LEAST_COLUMNS, CPU_COLUMN = 9, 12


def parse_line(line: str) -> list[int]:
    """Parse the hexadecimal columns of one CPU.

    Raises:
        CollectorError: The line has fewer than nine columns, or one that is not hexadecimal.
    """
    words = columns_of(line)
    if len(words) < LEAST_COLUMNS:
        raise CollectorError(f"/proc/net/softnet_stat: '{line[:60]}' has fewer than {LEAST_COLUMNS} columns")
    return [whole(word, "/proc/net/softnet_stat", base=16) for word in words]


class SoftnetCollector:
    """Exports packets processed and dropped, by CPU."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one family per column, one sample per CPU."""
        losses = Losses()
        samples: dict[int, list[Sample]] = {column: [] for column in COLUMNS}
        for index, line in enumerate(lines_of(self._host.read_net("softnet_stat"))):
            try:
                numbers = parse_line(line)
            except CollectorError as error:
                losses.note(error)
                continue
            cpu = str(numbers[CPU_COLUMN] if len(numbers) > CPU_COLUMN else index)
            for column, found in samples.items():
                found.append(((cpu,), numbers[column] if column < len(numbers) else 0))
        return losses.settle([(COLUMNS[column], found) for column, found in samples.items()])


SPEC = Spec("softnet", SoftnetCollector, "packet processing by CPU")
