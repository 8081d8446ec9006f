"""TCP connections by state: sock_diag(7) over netlink."""

from __future__ import annotations

import struct
import sys
from errno import ENOENT
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

STATES = gauge("node_tcp_connection_states", "TCP connections in each state, and the bytes in their queues.", "state")

# The values of enum tcp_state, kernel: include/net/tcp_states.h, under the names that ss and node_exporter use.
NAMES = {
    1: "established",
    2: "syn_sent",
    3: "syn_recv",
    4: "fin_wait1",
    5: "fin_wait2",
    6: "time_wait",
    7: "close",
    8: "close_wait",
    9: "last_ack",
    10: "listen",
    11: "closing",
}
# struct nlmsghdr: length, type, flags, sequence, port. struct inet_diag_msg follows: state in its second byte, and
# after the 48 bytes of addresses: expires, receive queue, write queue.
HEADER = struct.Struct("=IHHII")
QUEUES = struct.Struct("=III")
STATE_AT = HEADER.size + 1
QUEUES_AT = HEADER.size + 4 + 48
DONE, ERROR = 3, 2


def count_states(dump: bytes) -> dict[str, int]:
    """Count the connections in the netlink messages of a dump.

    Returns:
        Connections by state, and the bytes in all queues under rx_queued_bytes and tx_queued_bytes.

    Raises:
        CollectorError: A message is an error or cut short, or the dump has no end.
        NoDataError: The kernel was built without IPv6, or without IPv4.
    """
    counts: dict[str, int] = {}
    offset = 0
    while offset + HEADER.size <= len(dump):
        length, kind, *_ = HEADER.unpack_from(dump, offset)
        if kind == DONE:
            return counts
        if kind == ERROR and _error_number(dump, offset) == ENOENT:
            raise NoDataError("sock_diag: the kernel has no TCP of this version")
        if kind == ERROR or length < QUEUES_AT + QUEUES.size or offset + length > len(dump):
            raise CollectorError("sock_diag: the kernel sent an error, or a message that is cut short")
        _, received, written = QUEUES.unpack_from(dump, offset + QUEUES_AT)
        name = NAMES.get(dump[offset + STATE_AT], "unknown")
        counts[name] = counts.get(name, 0) + 1
        counts["rx_queued_bytes"] = counts.get("rx_queued_bytes", 0) + received
        counts["tx_queued_bytes"] = counts.get("tx_queued_bytes", 0) + written
        offset += (length + 3) & ~3  # NLMSG_ALIGN: messages begin at multiples of 4 bytes
    raise CollectorError("sock_diag: the dump has no end")


def _error_number(dump: bytes, offset: int) -> int:
    """Return the errno of a struct nlmsgerr, which follows the header as a negative number; 0 where it is cut short."""
    at = offset + HEADER.size
    return -int.from_bytes(dump[at : at + 4], sys.byteorder, signed=True)


class TcpstatCollector:
    """Exports the connections of IPv4 and IPv6 together."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one sample per state that a connection is in."""
        losses = Losses()
        total: dict[str, int] = {}
        for dump in self._host.tcp_dumps():
            with losses:
                for state, count in count_states(dump).items():
                    total[state] = total.get(state, 0) + count
        return losses.settle([(STATES, [((state,), count) for state, count in sorted(total.items())])])


SPEC = Spec("tcpstat", TcpstatCollector, "TCP connections by state", default=False)
