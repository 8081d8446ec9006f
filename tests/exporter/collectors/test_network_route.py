"""What the kernel returns about routes: messages built by hand, whole and damaged."""

from __future__ import annotations

import ipaddress
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_exporter.collectors.families import Loss
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.network_route import INFO, ROUTE, ROUTES, SPEC, Hop, Route, parse_route
from perfloop_exporter.collectors.rtnetlink import GETLINK, IFINFO
from perfloop_exporter.errors import CollectorError


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded as the kernel pads it."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    """Return a message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


def number(value: int) -> bytes:
    """Return a number of 32 bits."""
    return struct.pack("=I", value)


def address(text: str) -> bytes:
    """Return an address as the kernel sends it."""
    return ipaddress.ip_address(text).packed


def route(family: int, length: int, *attributes: bytes, kind: int = 1, protocol: int = 4) -> bytes:
    """Return a message about a route, without the header."""
    return ROUTE.pack(family, length, 0, 0, 254, protocol, 0, kind, 0) + b"".join(attributes)


DONE = message(3, bytes(4))
LINKS = message(16, IFINFO.pack(0, 1, 2, 0x1043, 0) + attribute(3, b"eth0\0")) + DONE
ONE = route(2, 24, attribute(1, address("198.51.100.0")), attribute(4, number(2)), attribute(5, address("192.0.2.1")))


def host(*routes: bytes) -> Host:
    """Return a machine with these routes."""
    dump = b"".join(message(24, one) for one in routes) + DONE
    return Host(route_dump=lambda kind, _family: LINKS if kind == GETLINK else dump)


def test_a_route_with_one_hop_has_no_weight() -> None:
    """Gateway, device, destination and who set it."""
    assert parse_route(ONE) == Route("", "198.51.100.0/24", 0, "static", [Hop(2, "192.0.2.1", "")])


def test_a_route_with_several_hops_has_the_weight_of_each() -> None:
    """The kernel sends the weight less one."""
    first = struct.pack("=HBBi", 16, 0, 0, 2) + attribute(5, address("192.0.2.1"))
    second = struct.pack("=HBBi", 8, 0, 9, 3)

    found = parse_route(route(10, 0, attribute(9, first + second), attribute(6, number(1024)), protocol=186))

    assert found == Route("", "default", 1024, "bgp", [Hop(2, "192.0.2.1", "1"), Hop(3, "", "10")])


@pytest.mark.parametrize("message", [route(2, 32, kind=2), route(2, 32, kind=6), route(28, 20), route(128, 32)])
def test_only_unicast_routes_of_ip_count(message: bytes) -> None:
    """Local addresses, blackholes, MPLS labels and multicast routing have no sample."""
    assert parse_route(message) is None


def test_a_route_of_two_tables_is_one_sample_and_counts_twice() -> None:
    """The labels of both are equal, which a scrape must not have twice."""
    items = dict(SPEC.build(host(ONE, ONE)).collect())

    assert len(items[INFO]) == 1
    assert items[ROUTES] == [(("eth0",), 2)]


def test_a_damaged_route_costs_itself() -> None:
    """An address of five bytes is a loss; the other route is exported."""
    items = SPEC.build(host(route(2, 24, attribute(1, b"12345")), ONE)).collect()

    assert [item for item in items if isinstance(item, Loss)] == [
        Loss("netlink: an address of 5 bytes is not one of IP", 1)
    ]
    assert dict(item for item in items if not isinstance(item, Loss))[ROUTES] == [(("eth0",), 1)]


@given(st.binary(max_size=80))
def test_whatever_the_kernel_sends_is_a_route_or_a_collector_error(data: bytes) -> None:
    """No other exception escapes, whatever follows the fixed part."""
    with suppress(CollectorError):
        parse_route(ROUTE.pack(2, 24, 0, 0, 254, 4, 0, 1, 0) + data)
    with suppress(CollectorError):
        parse_route(data)
