"""Traffic of network devices over netlink: rtnl_link_stats64 under both sets of names that node_exporter has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.rtnetlink import STATISTICS, read_links

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host

# What /proc/net/dev shows in one column is the sum of several statistics (kernel: net/core/net-procfs.c).
COLUMNS: dict[str, tuple[str, ...]] = {
    "receive_packets": ("rx_packets",),
    "transmit_packets": ("tx_packets",),
    "receive_bytes": ("rx_bytes",),
    "transmit_bytes": ("tx_bytes",),
    "receive_errs": ("rx_errors",),
    "transmit_errs": ("tx_errors",),
    "receive_drop": ("rx_dropped", "rx_missed_errors"),
    "transmit_drop": ("tx_dropped",),
    "receive_fifo": ("rx_fifo_errors",),
    "transmit_fifo": ("tx_fifo_errors",),
    "receive_frame": ("rx_frame_errors", "rx_length_errors", "rx_over_errors", "rx_crc_errors"),
    "transmit_colls": ("collisions",),
    "transmit_carrier": ("tx_carrier_errors", "tx_aborted_errors", "tx_heartbeat_errors", "tx_window_errors"),
    "receive_multicast": ("multicast",),
    "receive_compressed": ("rx_compressed",),
    "transmit_compressed": ("tx_compressed",),
    "receive_nohandler": ("rx_nohandler",),
}


def detailed_name(statistic: str) -> str:
    """Return the name of a single statistic: `rx_crc_errors` is receive_crc_errors."""
    for prefix, direction in (("rx_", "receive_"), ("tx_", "transmit_")):
        if statistic.startswith(prefix):
            return direction + statistic.removeprefix(prefix)
    return statistic


DETAILED: dict[str, tuple[str, ...]] = {detailed_name(name): (name,) for name in STATISTICS}


def read_statistics(host: Host, *, detailed: bool) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Return the names of the statistics, and their values for each device that has any.

    Args:
        host: The machine; the devices are those of the exporter's own network namespace.
        detailed: Each statistic for itself, instead of the columns of /proc/net/dev.

    Raises:
        CollectorError: The kernel refuses the request.
    """
    sums = DETAILED if detailed else COLUMNS
    devices: dict[str, list[int]] = {}
    for link in read_links(host):
        found = link.statistics()
        if found:
            devices[link.name] = [sum(found.get(name, 0) for name in names) for names in sums.values()]
    return tuple(sums), devices
