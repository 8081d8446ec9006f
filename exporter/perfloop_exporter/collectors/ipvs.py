"""Load balancing in the kernel: /proc/net/ip_vs and ip_vs_stats (kernel: net/netfilter/ipvs/ip_vs_ctl.c)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NamedTuple

from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors.families import counter, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, LabelValues, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# In the order of the columns of ip_vs_stats.
TOTALS = (
    counter("node_ipvs_connections_total", "Connections that were balanced."),
    counter("node_ipvs_incoming_packets_total", "Packets from clients."),
    counter("node_ipvs_outgoing_packets_total", "Packets to clients."),
    counter("node_ipvs_incoming_bytes_total", "Bytes from clients."),
    counter("node_ipvs_outgoing_bytes_total", "Bytes to clients."),
)
LABELS = ("local_address", "local_port", "remote_address", "remote_port", "proto", "local_mark")
# The line of the file, counted from 0, that has the totals.
TOTALS_LINE = 2
PROTOCOLS = frozenset(("TCP", "UDP", "SCTP"))
# 8 hexadecimal digits, a colon, and 4 of the port; addresses of version 6 are longer.
IPV4_LENGTH = 13
BACKEND_COLUMNS = 6


class Backend(NamedTuple):
    """One server of a service: the values of LABELS, connections, and its weight."""

    labels: tuple[str, str, str, str, str, str]
    active: int
    inactive: int
    weight: int


def parse_endpoint(text: str) -> tuple[str, str]:
    """Split `C0A80016:0CEA` or `[2001:…:0001]:0050` into an address and a port in their usual form.

    Raises:
        CollectorError: The text does not have this form.
    """
    host, _, port = text.rpartition(":")
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address
        if len(text) == IPV4_LENGTH:
            address = ipaddress.IPv4Address(bytes.fromhex(host))
        else:
            address = ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]"))
        return str(address), str(int(port, 16))
    except ValueError as error:
        raise CollectorError(f"/proc/net/ip_vs: '{text[:60]}' is not an address with a port") from error


def parse_backends(text: str, losses: Losses) -> list[Backend]:
    """Parse /proc/net/ip_vs: a line for each service, and below it one `-> …` for each of its servers."""
    backends: list[Backend] = []
    service: tuple[str, str, str, str] | None = None
    for line in lines_of(text):
        words = columns_of(line)
        with losses:
            if not words or words[1:2] == ["RemoteAddress:Port"]:
                continue
            if words[0] in PROTOCOLS or words[0] == "FWM":
                service = None
                service = _parse_service(words)
            elif words[0] == "->" and service is not None and len(words) >= BACKEND_COLUMNS:
                address, port, protocol, mark = service
                remote_address, remote_port = parse_endpoint(words[1])
                weight, active, inactive = (whole(word, "/proc/net/ip_vs") for word in words[3:6])
                labels = (address, port, remote_address, remote_port, protocol, mark)
                backends.append(Backend(labels, active, inactive, weight))
    return backends


def _parse_service(words: list[str]) -> tuple[str, str, str, str]:
    if len(words) < 2:  # noqa: PLR2004  # a protocol and an address or mark
        raise CollectorError(f"/proc/net/ip_vs: '{words[0]}' is not followed by an address")
    if words[0] == "FWM":
        return "", "0", "FWM", words[1]
    return (*parse_endpoint(words[1]), words[0], "")


class IpvsCollector:
    """Exports the totals, and the connections and weight of each server."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        given = [label for label in options.text("backend-labels").split(",") if label]
        unknown = sorted(set(given).difference(LABELS))
        if unknown:
            raise ConfigError(
                f"--collector.ipvs.backend-labels: '{', '.join(unknown)}' is not among {', '.join(LABELS)}"
            )
        self._kept = [index for index, label in enumerate(LABELS) if label in given]
        labels = [LABELS[index] for index in self._kept]
        self._active = gauge(
            "node_ipvs_backend_connections_active", "Connections of a server that are active.", *labels
        )
        self._inactive = gauge("node_ipvs_backend_connections_inactive", "Connections that are not active.", *labels)
        self._weight = gauge("node_ipvs_backend_weight", "Weight of a server.", *labels)

    def collect(self) -> list[Item]:
        """Return the totals, and one sample per server; servers whose labels are the same are added up."""
        losses = Losses()
        readings: list[Reading] = []
        with losses:
            readings += self._totals()
        with losses:
            sums: dict[LabelValues, list[int]] = {}
            for backend in parse_backends(self._host.read_net("ip_vs"), losses):
                values = sums.setdefault(tuple(backend.labels[index] for index in self._kept), [0, 0, 0])
                for index, value in enumerate((backend.active, backend.inactive, backend.weight)):
                    values[index] += value
            readings += [
                (family, [(labels, values[index]) for labels, values in sums.items()])
                for index, family in enumerate((self._active, self._inactive, self._weight))
            ]
        return losses.settle(readings)

    def _totals(self) -> list[Reading]:
        lines = lines_of(self._host.read_net("ip_vs_stats"))
        words = columns_of(lines[TOTALS_LINE]) if len(lines) > TOTALS_LINE else []
        if len(words) != len(TOTALS):
            raise CollectorError(f"/proc/net/ip_vs_stats: {len(words)} totals in place of {len(TOTALS)}")
        numbers = [whole(word, "/proc/net/ip_vs_stats", 16) for word in words]
        return [(family, [((), number)]) for family, number in zip(TOTALS, numbers, strict=True)]


SPEC = Spec(
    "ipvs",
    seldom(IpvsCollector),
    "load balancing in the kernel",
    (Option("backend-labels", ",".join(LABELS), "labels of servers, separated by commas"),),
)
