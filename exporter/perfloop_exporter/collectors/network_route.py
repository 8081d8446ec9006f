"""Routes, which the kernel returns over netlink: rtnetlink(7)."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Sample, gauge
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.netlink import aligned, attributes, messages
from perfloop_exporter.collectors.rtnetlink import GETROUTE, read_links
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_exporter.collectors.families import Item, LabelValues
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

ROUTES = gauge("node_network_routes", "Routes through a device.", "device")
INFO = gauge(
    "node_network_route_info",
    "A route to unicast addresses, or one next hop of it; always 1.",
    *("device", "src", "dest", "gw", "priority", "proto", "weight"),
)
# linux/rtnetlink.h: struct rtmsg (family, lengths of destination and source, service, table, protocol, scope, type,
# flags) and struct rtnexthop (length, flags, weight less one, device).
ROUTE = struct.Struct("=BBBBBBBBI")
NEXT_HOP = struct.Struct("=HBBi")
UNICAST = 1
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH = 1, 4, 5, 6, 7, 9
FAMILIES = frozenset((socket.AF_INET, socket.AF_INET6))
# Who set a route; RTPROT_* and iproute2's etc/iproute2/rt_protos.
PROTOCOLS = {
    0: "unspec",
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    17: "mrouted",
    42: "babel",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}


class Hop(NamedTuple):
    """Where a route leads: the number of the device, the gateway, and the weight, empty for a route with one hop."""

    device: int
    gateway: str
    weight: str


class Route(NamedTuple):
    """One route to unicast addresses."""

    source: str
    destination: str
    priority: int
    protocol: str
    hops: list[Hop]


def show_address(packed: bytes | None) -> str:
    """Return an address as text, empty where there is none.

    Raises:
        CollectorError: It has the length of neither IPv4 nor IPv6.
    """
    if not packed:
        return ""
    if len(packed) not in {4, 16}:
        raise CollectorError(f"netlink: an address of {len(packed)} bytes is not one of IP")
    return str(ipaddress.ip_address(packed))


def parse_route(message: bytes) -> Route | None:
    """Parse one message; None for a route that is not unicast: of local, broadcast and blocked addresses.

    Raises:
        CollectorError: It is cut short.
    """
    if len(message) < ROUTE.size:
        raise CollectorError("netlink: a message about a route is cut short")
    family, length, _, _, _, protocol, _, kind, _ = ROUTE.unpack_from(message)
    if kind != UNICAST or family not in FAMILIES:
        return None
    found = dict(attributes(message[ROUTE.size :]))
    destination = f"{show_address(found.get(RTA_DST))}/{length}" if length else "default"
    hops = list(_next_hops(found.get(RTA_MULTIPATH, b"")))
    if not hops:
        hops = [Hop(_number(found.get(RTA_OIF)), show_address(found.get(RTA_GATEWAY)), "")]
    return Route(
        show_address(found.get(RTA_PREFSRC)),
        destination,
        _number(found.get(RTA_PRIORITY)),
        PROTOCOLS.get(protocol, "unknown"),
        hops,
    )


def _next_hops(data: bytes) -> Iterator[Hop]:
    offset = 0
    while offset + NEXT_HOP.size <= len(data):
        length, _, extra_weight, device = NEXT_HOP.unpack_from(data, offset)
        if length < NEXT_HOP.size or offset + length > len(data):
            raise CollectorError("netlink: a next hop of a route is cut short")
        found = dict(attributes(data[offset + NEXT_HOP.size : offset + length]))
        yield Hop(device, show_address(found.get(RTA_GATEWAY)), str(extra_weight + 1))
        offset += aligned(length)


def _number(data: bytes | None) -> int:
    return int.from_bytes(data or b"", sys.byteorder)


class NetworkRouteCollector:
    """Exports the routes of all tables of the exporter's own network namespace: many series on a router."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one sample per route and next hop, and how many of them each device has."""
        losses = Losses()
        names = {link.number: link.name for link in read_links(self._host)}
        # By labels: two tables can have the same route.
        infos: dict[LabelValues, int] = {}
        counts: dict[str, int] = {}
        for message in messages(self._host.route_dump(GETROUTE, socket.AF_UNSPEC)):
            with losses:
                route = parse_route(message)
                if route is None:
                    continue
                for hop in route.hops:
                    device = names.get(hop.device, "")
                    infos[_labels(route, hop, device)] = 1
                    counts[device] = counts.get(device, 0) + 1
        routes: list[Sample] = [((device,), count) for device, count in sorted(counts.items())]
        return losses.settle([(INFO, list(infos.items())), (ROUTES, routes)])


def _labels(route: Route, hop: Hop, device: str) -> LabelValues:
    return device, route.source, route.destination, hop.gateway, str(route.priority), route.protocol, hop.weight


SPEC = Spec("network_route", NetworkRouteCollector, "routes", default=False)
