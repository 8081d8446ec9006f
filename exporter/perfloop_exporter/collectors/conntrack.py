"""The connection tracking table: /proc/sys/net/netfilter and /proc/net/stat/nf_conntrack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, gauge, single
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ENTRIES = gauge("node_nf_conntrack_entries", "Connections that are tracked.")
LIMIT = gauge("node_nf_conntrack_entries_limit", "Most connections that can be tracked.")
# Columns of the statistics file, summed over the CPUs. They are counters, but node_exporter types them as gauges.
STATISTICS: dict[str, Family] = {
    "found": gauge("node_nf_conntrack_stat_found", "Lookups that found a connection."),
    "invalid": gauge("node_nf_conntrack_stat_invalid", "Packets that cannot be tracked."),
    "ignore": gauge("node_nf_conntrack_stat_ignore", "Packets of connections that are tracked already."),
    "insert": gauge("node_nf_conntrack_stat_insert", "Connections inserted."),
    "insert_failed": gauge("node_nf_conntrack_stat_insert_failed", "Connections that could not be inserted."),
    "drop": gauge("node_nf_conntrack_stat_drop", "Packets dropped because tracking failed."),
    "early_drop": gauge("node_nf_conntrack_stat_early_drop", "Connections evicted because the table was full."),
    "search_restart": gauge(
        "node_nf_conntrack_stat_search_restart", "Lookups restarted because the table was resized."
    ),
}


def sum_columns(text: str) -> dict[str, int]:
    """Sum the statistics of all CPUs.

    Args:
        text: /proc/net/stat/nf_conntrack: one heading, then a line of hexadecimal numbers per CPU
            (kernel: net/netfilter/nf_conntrack_standalone.c).

    Returns:
        Totals by column name.

    Raises:
        CollectorError: A line has another number of columns than the heading, or a word is not hexadecimal. The sum of
            the other CPUs would be a counter that falls.
    """
    header, *lines = lines_of(text) or [""]
    names = columns_of(header)
    totals = dict.fromkeys(names, 0)
    for line in lines:
        words = columns_of(line)
        if len(words) != len(names):
            raise CollectorError(f"/proc/net/stat/nf_conntrack: {len(words)} numbers for {len(names)} names")
        for name, word in zip(names, words, strict=True):
            totals[name] += whole(word, "/proc/net/stat/nf_conntrack", base=16)
    return totals


class ConntrackCollector:
    """Exports the table's entries, limit and statistics."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one gauge each; columns that newer kernels removed are 0, as in node_exporter.

        Many distributions build their kernels without the statistics file (CONFIG_NF_CONNTRACK_PROCFS).
        """
        losses = Losses()
        readings: list[Reading] = []
        for family, file in ((ENTRIES, "nf_conntrack_count"), (LIMIT, "nf_conntrack_max")):
            with losses:
                text = self._host.read_proc(f"sys/net/netfilter/{file}")
                readings.append(single(family, whole(text.strip(), file)))
        with losses:
            totals = sum_columns(self._host.read_net("stat/nf_conntrack"))
            readings += [single(family, totals.get(name, 0)) for name, family in STATISTICS.items()]
        return losses.settle(readings)


SPEC = Spec("conntrack", ConntrackCollector, "tracked connections")
