"""Bytes in the queues of UDP sockets: /proc/net/udp and udp6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Sample, gauge
from perfloop_exporter.collectors.host import lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

QUEUES = gauge("node_udp_queues", "Bytes that the kernel keeps for UDP sockets.", "ip", "queue")
QUEUES_COLUMN = 4


def sum_queues(text: str, file: str, losses: Losses) -> tuple[int, int]:
    """Sum the queues of all sockets: `TX:RX` in hexadecimal bytes, the fifth column.

    The columns are those of TCP (kernel: Documentation/networking/proc_net_tcp.rst).

    Returns:
        Bytes in the send queues and bytes in the receive queues; `losses` takes the lines that have no such column.
    """
    sending = receiving = 0
    for line in lines_of(text)[1:]:
        words = line.split(None, QUEUES_COLUMN + 1)  # numbers all of them
        left, colon, right = words[QUEUES_COLUMN].partition(":") if len(words) > QUEUES_COLUMN else ("", "", "")
        try:
            if not colon:
                raise CollectorError(f"/proc/net/{file}: '{line[:60]}' is not a socket")  # noqa: TRY301  # as of a bad number
            waiting = whole(left, f"/proc/net/{file}", base=16), whole(right, f"/proc/net/{file}", base=16)
        except CollectorError as error:
            losses.note(error)
            continue
        sending += waiting[0]
        receiving += waiting[1]
    return sending, receiving


class UdpQueuesCollector:
    """Exports the queued bytes of IPv4 and IPv6."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one sample per protocol and direction."""
        losses = Losses()
        samples: list[Sample] = []
        for file, version in (("udp", "v4"), ("udp6", "v6")):
            with losses:  # a kernel may be without IPv4, or without IPv6
                sending, receiving = sum_queues(self._host.read_net(file), file, losses)
                samples += [((version, "tx"), sending), ((version, "rx"), receiving)]
        return losses.settle([(QUEUES, samples)])


SPEC = Spec("udp_queues", UdpQueuesCollector, "bytes in the queues of UDP sockets")
