"""Network devices, their addresses and their neighbours, which the kernel returns over netlink: rtnetlink(7)."""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.netlink import attributes, messages
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from perfloop_exporter.collectors.host import Host

# linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h
GETLINK, GETADDR, GETROUTE, GETNEIGH = 18, 22, 26, 30
IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, change
IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
IFLA_ADDRESS, IFLA_BROADCAST, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_TXQLEN = 1, 2, 3, 4, 5, 13
IFLA_OPERSTATE, IFLA_LINKMODE, IFLA_IFALIAS, IFLA_STATS64, IFLA_GROUP, IFLA_CARRIER = 16, 17, 20, 23, 27, 33
IFLA_CARRIER_CHANGES, IFLA_CARRIER_UP_COUNT, IFLA_CARRIER_DOWN_COUNT = 35, 47, 48
IFLA_PROP_LIST, IFLA_ALT_IFNAME = 52, 53
IFA_ADDRESS, IFA_LOCAL = 1, 2
NUD_NOARP = 0x40
# struct rtnl_link_stats64, 64-bit numbers; older kernels end before the last.
STATISTICS = (
    *("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped"),
    *("multicast", "collisions", "rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors"),
    *("rx_fifo_errors", "rx_missed_errors", "tx_aborted_errors", "tx_carrier_errors", "tx_fifo_errors"),
    *("tx_heartbeat_errors", "tx_window_errors", "rx_compressed", "tx_compressed", "rx_nohandler"),
)


class Link(NamedTuple):
    """One network device: its number, hardware type and flags, and its attributes as they came, by IFLA_*."""

    name: str
    number: int
    kind: int
    flags: int
    attributes: Mapping[int, bytes]

    def value(self, attribute: int) -> int | None:
        """Return an attribute that is an unsigned integer, None where the kernel did not send it."""
        data = self.attributes.get(attribute)
        return int.from_bytes(data, sys.byteorder) if data else None

    def text(self, attribute: int) -> str:
        """Return an attribute that is text, empty where the kernel did not send it."""
        return _text(self.attributes.get(attribute, b""))

    def hardware_address(self, attribute: int) -> str:
        """Return an attribute that is a hardware address, in pairs of hexadecimal digits."""
        return self.attributes.get(attribute, b"").hex(":")

    def other_names(self) -> list[str]:
        """Return the alternative names of the device."""
        nested = attributes(self.attributes.get(IFLA_PROP_LIST, b""))
        return [_text(value) for kind, value in nested if kind == IFLA_ALT_IFNAME]

    def statistics(self) -> dict[str, int]:
        """Return packets, bytes and events by their names in struct rtnl_link_stats64."""
        data = self.attributes.get(IFLA_STATS64, b"")
        numbers = (value for (value,) in struct.iter_unpack("=Q", data[: len(data) // 8 * 8]))
        return dict(zip(STATISTICS, numbers, strict=False))


class DeviceAddress(NamedTuple):
    """One address of a device, and how many bits of it are the network's."""

    device: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    prefix: int

    @property
    def scope(self) -> str:
        """Where the address is valid, in node_exporter's words: `link-local` includes the loopback."""
        if self.address.is_loopback or self.address.is_link_local:
            return "link-local"
        return "" if self.address.is_unspecified or self.address.is_multicast else "global"


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")


def read_links(host: Host) -> list[Link]:
    """Return every network device.

    Raises:
        CollectorError: The kernel refuses the request, or its reply is cut short.
    """
    links = []
    for message in messages(host.route_dump(GETLINK, socket.AF_UNSPEC)):
        if len(message) < IFINFO.size:
            raise CollectorError("netlink: a message about a network device is cut short")
        _, kind, index, flags, _ = IFINFO.unpack_from(message)
        found = dict(attributes(message[IFINFO.size :]))
        links.append(Link(_text(found.get(IFLA_IFNAME, b"")), index, kind, flags, found))
    return links


def read_addresses(host: Host) -> list[DeviceAddress]:
    """Return every address of every network device.

    Raises:
        CollectorError: As for read_links.
    """
    names = {link.number: link.name for link in read_links(host)}
    return [address for address in _addresses(host, names) if address.device]


def _addresses(host: Host, names: Mapping[int, str]) -> Iterator[DeviceAddress]:
    for message in messages(host.route_dump(GETADDR, socket.AF_UNSPEC)):
        if len(message) < IFADDR.size:
            raise CollectorError("netlink: a message about an address is cut short")
        _, prefix, _, _, index = IFADDR.unpack_from(message)
        found = dict(attributes(message[IFADDR.size :]))
        # On a point-to-point link IFA_ADDRESS is the other end.
        packed = found.get(IFA_LOCAL) or found.get(IFA_ADDRESS, b"")
        if len(packed) in {4, 16}:
            yield DeviceAddress(names.get(index, ""), ipaddress.ip_address(packed), prefix)


def count_neighbours(host: Host) -> dict[str, int]:
    """Count the ARP entries of each device, without those that need no ARP, which /proc/net/arp leaves out too.

    Raises:
        CollectorError: As for read_links.
    """
    names = {link.number: link.name for link in read_links(host)}
    counts: dict[str, int] = {}
    for message in messages(host.route_dump(GETNEIGH, socket.AF_INET)):
        if len(message) < NEIGHBOUR.size:
            raise CollectorError("netlink: a message about a neighbour is cut short")
        family, index, state, *_ = NEIGHBOUR.unpack_from(message)
        if family == socket.AF_INET and not state & NUD_NOARP and index in names:
            counts[names[index]] = counts.get(names[index], 0) + 1
    return counts
