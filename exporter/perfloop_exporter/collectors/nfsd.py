"""The NFS server: /proc/net/rpc/nfsd (kernel: fs/nfsd/stats.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Sample, counter, gauge
from perfloop_exporter.collectors.nfs_counters import THREADS, VERSION_2, VERSION_3, Counters, by_method
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

PACKETS = counter("node_nfsd_packets_total", "Packets of the NFS server, sent and received.", "proto")
RPC_ERRORS = counter("node_nfsd_rpc_errors_total", "Calls that the server refused, by reason.", "error")
REQUESTS = counter("node_nfsd_requests_total", "Calls of each NFS procedure.", "proto", "method")

# By the word that a line begins with: how many numbers it has, and which of them is which family.
LINES: dict[str, tuple[int, dict[int, Family]]] = {
    "rc": (
        3,
        {
            0: counter("node_nfsd_reply_cache_hits_total", "Repeated calls that the reply cache answered."),
            1: counter("node_nfsd_reply_cache_misses_total", "Calls that the reply cache took in."),
            2: counter("node_nfsd_reply_cache_nocache_total", "Calls that are not cached since repeating is harmless."),
        },
    ),
    "fh": (5, {0: counter("node_nfsd_file_handles_stale_total", "File handles of clients that are not valid.")}),
    "io": (
        2,
        {
            0: counter("node_nfsd_disk_bytes_read_total", "Bytes that the server read for clients."),
            1: counter("node_nfsd_disk_bytes_written_total", "Bytes that the server wrote for clients."),
        },
    ),
    THREADS: (1, {0: gauge("node_nfsd_server_threads", "Threads of the server that run.")}),
    # Kernels from 5.4 on have no read-ahead cache.
    "ra": (
        12,
        {
            0: gauge("node_nfsd_read_ahead_cache_size_blocks", "Size of the read-ahead cache in blocks."),
            11: counter("node_nfsd_read_ahead_cache_not_found_total", "Reads that the read-ahead cache did not have."),
        },
    ),
    "net": (4, {3: counter("node_nfsd_connections_total", "TCP connections that the server accepted.")}),
    "rpc": (5, {0: counter("node_nfsd_server_rpcs_total", "Remote procedure calls that the server received.")}),
}
# Operations of version 4 in the order of RFC 7530, after three numbers that are no operations. PutPubFH and
# PutRootFH are not exported, as in node_exporter.
VERSION_4 = tuple(
    "Access Close Commit Create DelegPurge DelegReturn GetAttr GetFH Link Lock Lockt Locku Lookup LookupRoot Nverify"  # noqa: SIM905  # one line
    " Open OpenAttr OpenConfirm OpenDgrd PutFH PutPubFH PutRootFH Read ReadDir ReadLink Remove Rename Renew RestoreFH"
    " SaveFH SecInfo SetAttr SetClientID SetClientIDConfirm Verify Write RelLockOwner".split()
)
UNUSED = ("Op0Unused", "Op1Unused", "Op2Future")
NOT_EXPORTED = frozenset(("Null", *UNUSED, "PutPubFH", "PutRootFH"))


class NfsdCollector:
    """Exports packets, calls, caches and threads of the NFS server."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one metric each; what the kernel does not have is 0."""
        counters = Counters(self._host.read_net("rpc/nfsd"), "/proc/net/rpc/nfsd")
        readings: list[Reading] = []
        for key, (count, families) in LINES.items():
            numbers = counters.numbers(key, count)
            if numbers is None:
                continue
            readings += [(family, [((), numbers[index])]) for index, family in families.items()]
            if key == "net":
                readings.append((PACKETS, [(("udp",), numbers[1]), (("tcp",), numbers[2])]))
            if key == "rpc":
                reasons = zip(("fmt", "auth", "cInt"), numbers[2:], strict=True)
                readings.append((RPC_ERRORS, [((reason,), value) for reason, value in reasons]))
        readings.append((REQUESTS, _requests(counters)))
        return counters.losses.settle(readings)


def _requests(counters: Counters) -> list[Sample]:
    requests: list[Sample] = []
    for protocol, key, names in (
        ("2", "proc2", VERSION_2),
        ("3", "proc3", VERSION_3),
        ("4", "proc4ops", (*UNUSED, *VERSION_4)),
    ):
        calls = counters.procedures(key, names)
        requests += by_method(protocol, {name: count for name, count in calls.items() if name not in NOT_EXPORTED})
    delegations = counters.numbers("wdeleg_getattr", 1)
    if delegations is not None:
        requests.append((("4", "WdelegGetattr"), delegations[0]))
    return requests


SPEC = Spec("nfsd", seldom(NfsdCollector), "calls of the NFS server")
