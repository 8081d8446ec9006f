"""The NFS client: /proc/net/rpc/nfs (kernel: net/sunrpc/stats.c, fs/nfs/nfs4xdr.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import counter
from perfloop_exporter.collectors.nfs_counters import VERSION_2, VERSION_3, Counters, by_method
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

PACKETS = counter("node_nfs_packets_total", "Packets of NFS, sent and received.", "protocol")
CONNECTIONS = counter("node_nfs_connections_total", "TCP connections of NFS.")
CALLS = counter("node_nfs_rpcs_total", "Remote procedure calls.")
RETRANSMISSIONS = counter("node_nfs_rpc_retransmissions_total", "Remote procedure calls that were sent again.")
REFRESHES = counter("node_nfs_rpc_authentication_refreshes_total", "Times that credentials were refreshed.")
REQUESTS = counter("node_nfs_requests_total", "Calls of each NFS procedure.", "proto", "method")

# The client's procedures of version 4 in the order of enum nfs_stat_client, linux/nfs4.h, under node_exporter's names.
VERSION_4 = tuple(
    "Null Read Write Commit Open OpenConfirm OpenNoattr OpenDowngrade Close Setattr FsInfo Renew SetClientID"  # noqa: SIM905  # one line
    " SetClientIDConfirm Lock Lockt Locku Access Getattr Lookup LookupRoot Remove Rename Link Symlink Create Pathconf"
    " StatFs ReadLink ReadDir ServerCaps DelegReturn GetACL SetACL FsLocations ReleaseLockowner Secinfo FsidPresent"
    " ExchangeID CreateSession DestroySession Sequence GetLeaseTime ReclaimComplete GetDeviceInfo LayoutGet"
    " LayoutCommit LayoutReturn SecinfoNoName TestStateID FreeStateID GetDeviceList BindConnToSession DestroyClientID"
    " Seek Allocate DeAllocate LayoutStats Clone".split()
)


class NfsCollector:
    """Exports packets and calls of the NFS client."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one counter each; versions of the protocol that the kernel does not have are 0."""
        counters = Counters(self._host.read_net("rpc/nfs"), "/proc/net/rpc/nfs")
        readings: list[Reading] = []
        if net := counters.numbers("net", 4):
            _, udp, tcp, connections = net
            readings += [(PACKETS, [(("udp",), udp), (("tcp",), tcp)]), (CONNECTIONS, [((), connections)])]
        if rpc := counters.numbers("rpc", 3):
            readings += [
                (family, [((), count)]) for family, count in zip((CALLS, RETRANSMISSIONS, REFRESHES), rpc, strict=True)
            ]
        requests = [
            sample
            for protocol, names in (("2", VERSION_2), ("3", VERSION_3), ("4", VERSION_4))
            for sample in by_method(protocol, counters.procedures(f"proc{protocol}", names))
        ]
        return counters.losses.settle([*readings, (REQUESTS, requests)])


SPEC = Spec("nfs", seldom(NfsCollector), "calls of the NFS client")
