"""How full the table of tracked connections is: /proc/sys/net/netfilter and /proc/net/stat/nf_conntrack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, gauge, single
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ENTRIES = gauge("node_nf_conntrack_entries", "Connections that are tracked.")
LIMIT = gauge("node_nf_conntrack_entries_limit", "Most connections that can be tracked.")
# The columns of the statistics that are told, summed over the CPUs; node_exporter has them as gauges.
STATISTICS: dict[str, Family] = {
    "found": gauge("node_nf_conntrack_stat_found", "Lookups that found a connection."),
    "invalid": gauge("node_nf_conntrack_stat_invalid", "Packets that cannot be tracked."),
    "ignore": gauge("node_nf_conntrack_stat_ignore", "Packets of connections that are tracked already."),
    "insert": gauge("node_nf_conntrack_stat_insert", "Connections inserted."),
    "insert_failed": gauge("node_nf_conntrack_stat_insert_failed", "Connections that could not be inserted."),
    "drop": gauge("node_nf_conntrack_stat_drop", "Packets dropped because tracking failed."),
    "early_drop": gauge("node_nf_conntrack_stat_early_drop", "Connections dropped to make room for others."),
    "search_restart": gauge("node_nf_conntrack_stat_search_restart", "Lookups begun anew since the table was resized."),
}


def sum_columns(text: str) -> dict[str, int]:
    """The hexadecimal columns under their headings, summed over the lines: one for each CPU."""
    header, *lines = text.splitlines() or [""]
    names = header.split()
    totals = dict.fromkeys(names, 0)
    for line in lines:
        words = line.split()
        if len(words) != len(names):
            raise CollectorError(f"/proc/net/stat/nf_conntrack: {len(words)} numbers for {len(names)} names")
        for name, word in zip(names, words, strict=True):
            totals[name] += whole(word, "/proc/net/stat/nf_conntrack", base=16)
    return totals


class ConntrackCollector:
    """Tells entries, limit and statistics of the table."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """One gauge each; columns that a newer kernel has dropped are told as 0, as node_exporter does."""
        folder = "sys/net/netfilter/nf_conntrack"
        totals = sum_columns(self._host.read_net("stat/nf_conntrack"))
        return [
            single(ENTRIES, whole(self._host.read_proc(f"{folder}_count").strip(), "nf_conntrack_count")),
            single(LIMIT, whole(self._host.read_proc(f"{folder}_max").strip(), "nf_conntrack_max")),
            *(single(family, totals.get(name, 0)) for name, family in STATISTICS.items()),
        ]


SPEC = Spec("conntrack", ConntrackCollector, "tracked connections")
