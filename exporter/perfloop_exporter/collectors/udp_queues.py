"""Bytes in the queues of UDP sockets: /proc/net/udp and udp6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, Sample, gauge
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

QUEUES = gauge("node_udp_queues", "Bytes that the kernel keeps for UDP sockets.", "ip", "queue")
QUEUES_COLUMN = 4


def sum_queues(text: str, file: str) -> tuple[int, int]:
    """Sum the queues of all sockets: `TX:RX` in hexadecimal bytes, the fifth column.

    The columns are those of TCP (kernel: Documentation/networking/proc_net_tcp.rst).

    Returns:
        Bytes in the send queues and bytes in the receive queues.

    Raises:
        CollectorError: A line has no such column.
    """
    sending = receiving = 0
    for line in text.splitlines()[1:]:
        words = line.split(None, QUEUES_COLUMN + 1)
        left, colon, right = words[QUEUES_COLUMN].partition(":") if len(words) > QUEUES_COLUMN else ("", "", "")
        if not colon:
            raise CollectorError(f"/proc/net/{file}: '{line[:60]}' is not a socket")
        sending += whole(left, f"/proc/net/{file}", base=16)
        receiving += whole(right, f"/proc/net/{file}", base=16)
    return sending, receiving


class UdpQueuesCollector:
    """Exports the queued bytes of IPv4 and IPv6."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """Return one sample per protocol and direction."""
        samples: list[Sample] = []
        for file, version in (("udp", "v4"), ("udp6", "v6")):
            try:
                sending, receiving = sum_queues(self._host.read_net(file), file)
            except NoDataError:  # a kernel without IPv4, or without IPv6
                continue
            samples += [((version, "tx"), sending), ((version, "rx"), receiving)]
        if not samples:
            raise NoDataError("this kernel has no UDP")
        return [(QUEUES, samples)]


SPEC = Spec("udp_queues", UdpQueuesCollector, "bytes in the queues of UDP sockets")
