"""ARP entries by network device: /proc/net/arp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ENTRIES = gauge("node_arp_entries", "ARP entries by device.", "device")
# IP address, hardware type, flags, hardware address, mask, device.
COLUMNS = 6


def count_devices(text: str) -> dict[str, int]:
    """Count the ARP entries of each device.

    Args:
        text: /proc/net/arp: one heading, then one line of six columns per entry, the device last (proc_net(5)).

    Returns:
        Number of entries by device name.

    Raises:
        CollectorError: A line does not have six columns.
    """
    counts: dict[str, int] = {}
    for line in lines_of(text)[1:]:
        words = columns_of(line)
        if len(words) != COLUMNS:
            raise CollectorError(f"/proc/net/arp: '{line[:60]}' does not have {COLUMNS} columns")
        counts[words[-1]] = counts.get(words[-1], 0) + 1
    return counts


class ArpCollector:
    """Exports the number of ARP entries of each device."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._filter = build_filter("arp", "device", options)

    def collect(self) -> list[Reading]:
        """Return one sample per device that has entries."""
        counts = count_devices(self._host.read_net("arp"))
        return [(ENTRIES, [((name,), count) for name, count in sorted(counts.items()) if not self._filter.skips(name)])]


SPEC = Spec("arp", ArpCollector, "ARP entries", filter_options("device", "network devices"))
