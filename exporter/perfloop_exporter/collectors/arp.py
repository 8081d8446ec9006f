"""ARP entries by network device: /proc/net/arp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.host import columns_of, lines_of
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.rtnetlink import count_neighbours
from perfloop_exporter.collectors.spec import Option, Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ENTRIES = gauge("node_arp_entries", "ARP entries by device.", "device")
# IP address, hardware type, flags, hardware address, mask, device.
COLUMNS = 6


def count_devices(text: str, losses: Losses) -> dict[str, int]:
    """Count the ARP entries of each device.

    Args:
        text: /proc/net/arp: one heading, then one line of six columns per entry, the device last (proc_net(5)).
        losses: Takes the lines that do not have six columns.

    Returns:
        Number of entries by device name.
    """
    counts: dict[str, int] = {}
    for line in lines_of(text)[1:]:
        words = columns_of(line)
        if len(words) == COLUMNS:
            counts[words[-1]] = counts.get(words[-1], 0) + 1
        else:
            losses.note(CollectorError(f"/proc/net/arp: '{line[:60]}' does not have {COLUMNS} columns"))
    return counts


class ArpCollector:
    """Exports the number of ARP entries of each device."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._filter = build_filter("arp", "device", options)
        self._netlink = options.switch("netlink")

    def collect(self) -> list[Item]:
        """Return one sample per device that has entries."""
        losses = Losses()
        counts = count_neighbours(self._host) if self._netlink else count_devices(self._host.read_net("arp"), losses)
        samples = [((name,), count) for name, count in sorted(counts.items()) if not self._filter.skips(name)]
        return losses.settle([(ENTRIES, samples)])


SPEC = Spec(
    "arp",
    ArpCollector,
    "ARP entries",
    (
        *filter_options("device", "network devices"),
        # Off, unlike in node_exporter: the file is of the machine's namespace also where /proc is mounted elsewhere.
        Option("netlink", False, "ask the kernel over netlink instead of reading /proc/net/arp"),  # noqa: FBT003  # off
    ),
)
