"""What the kernel returns over netlink about network devices: messages built by hand, whole and damaged."""

from __future__ import annotations

import ipaddress
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_exporter.collectors import arp, netclass, netdev
from perfloop_exporter.collectors.families import Renderer
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.netdev_netlink import COLUMNS, read_statistics
from perfloop_exporter.collectors.rtnetlink import (
    GETADDR,
    GETLINK,
    GETNEIGH,
    IFADDR,
    IFINFO,
    NEIGHBOUR,
    STATISTICS,
    count_neighbours,
    read_addresses,
    read_links,
)
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded as the kernel pads it."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    """Return a message."""
    return struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body


DONE = message(3, bytes(4))
NUMBERS = {name: number for number, name in enumerate(STATISTICS, 1)}
LINKS = b"".join(
    [
        message(
            16,
            IFINFO.pack(0, 1, 7, 0x1043, 0)
            + attribute(3, b"eth0\0")
            + attribute(1, bytes.fromhex("0200000000ff"))
            + attribute(4, struct.pack("=I", 1500))
            + attribute(16, b"\x06")
            + attribute(20, b"uplink\0")
            + attribute(0x8000 | 52, attribute(53, b"enp1s0\0") + attribute(53, b"wan\0"))
            + attribute(23, struct.pack(f"={len(STATISTICS)}Q", *NUMBERS.values())),
        ),
        message(16, IFINFO.pack(0, 772, 1, 9, 0) + attribute(3, b"lo\0") + attribute(23, struct.pack("=3Q", 5, 6, 7))),
        DONE,
    ]
)
ADDRESSES = b"".join(
    [
        message(
            20, IFADDR.pack(2, 24, 0, 0, 7) + attribute(1, bytes([10, 0, 0, 2])) + attribute(2, bytes([10, 0, 0, 1]))
        ),
        message(20, IFADDR.pack(10, 64, 0, 253, 7) + attribute(1, ipaddress.ip_address("fe80::1").packed)),
        message(20, IFADDR.pack(2, 8, 0, 254, 1) + attribute(2, bytes([127, 0, 0, 1]))),
        DONE,
    ]
)
NEIGHBOURS = b"".join(
    [
        message(28, NEIGHBOUR.pack(2, 7, 0x02, 0, 1)),
        message(28, NEIGHBOUR.pack(2, 7, 0x04, 0, 1)),
        message(28, NEIGHBOUR.pack(2, 1, 0x40, 0, 2)),
        DONE,
    ]
)

INFO = 'device="eth0",address="02:00:00:00:00:ff",broadcast="",duplex="Full",operstate="up",ifalias="uplink"'


def host(
    links: bytes = LINKS, addresses: bytes = ADDRESSES, neighbours: bytes = NEIGHBOURS, sys: str = "/none"
) -> Host:
    """Return a machine whose kernel returns these messages."""
    dumps = {GETLINK: links, GETADDR: addresses, GETNEIGH: neighbours}
    return Host(sys=sys, route_dump=lambda kind, _family: dumps[kind])


def test_devices_addresses_and_neighbours_are_read():
    """A device's further names are nested; of a point-to-point link the own address counts; NOARP is no ARP entry."""
    links = read_links(host())
    assert [link.name for link in links] == ["eth0", "lo"]
    assert links[0].other_names() == ["enp1s0", "wan"]
    assert [(one.device, str(one.address), one.prefix, one.scope) for one in read_addresses(host())] == [
        ("eth0", "10.0.0.1", 24, "global"),
        ("eth0", "fe80::1", 64, "link-local"),
        ("lo", "127.0.0.1", 8, "link-local"),
    ]
    assert count_neighbours(host()) == {"eth0": 2}


def test_columns_of_the_file_are_sums_of_statistics():
    """As the kernel sums them for /proc/net/dev; an older kernel lacks the last ones."""
    keys, devices = read_statistics(host(), detailed=False)
    found = dict(zip(keys, devices["eth0"], strict=True))
    assert found["receive_drop"] == NUMBERS["rx_dropped"] + NUMBERS["rx_missed_errors"]
    assert found["receive_frame"] == sum(NUMBERS[name] for name in COLUMNS["receive_frame"])
    assert found["receive_multicast"] == NUMBERS["multicast"]
    assert devices["lo"][keys.index("receive_bytes")] == 7
    assert devices["lo"][keys.index("receive_nohandler")] == 0


def test_the_collectors_export_what_was_asked_for(tmp_path: Path):
    """Netclass takes from its files what netlink does not have: speed, duplex and how an address was assigned."""
    device = tmp_path / "class/net/eth0"
    device.mkdir(parents=True)
    for file, text in {"speed": "1000", "duplex": "full", "dev_id": "0x0", "mtu": "9"}.items():
        (device / file).write_text(f"{text}\n")
    kernel = host(sys=str(tmp_path))
    page = "".join(
        Renderer().render(spec.build(kernel, {**options, "netlink": True}).collect())
        for spec, options in ((arp.SPEC, {}), (netdev.SPEC, {"label-ifalias": True}), (netclass.SPEC, {}))
    )
    for line in (
        'node_arp_entries{device="eth0"} 2',
        f'node_network_receive_bytes_total{{device="eth0",ifalias=""}} {NUMBERS["rx_bytes"]}',
        f"node_network_info{{{INFO}}} 1",
        'node_network_up{device="eth0"} 1',
        'node_network_up{device="lo"} 0',
        'node_network_speed_bytes{device="eth0"} 125000000',
        'node_network_device_id{device="eth0"} 0',
        'node_network_mtu_bytes{device="eth0"} 1500',
        'node_network_iface_link{device="eth0"} 7',
        'node_network_altnames_info{altname="wan",device="eth0"} 1',
    ):
        assert f"\n{line}\n" in page


@pytest.mark.parametrize("read", [read_links, read_addresses, count_neighbours])
@given(data=st.data())
def test_a_damaged_reply_raises_nothing_else_than_a_collectors_error(
    read: Callable[[Host], object], data: st.DataObject
):
    """Wherever it is cut, and whatever byte is changed."""
    dumps = [bytearray(dump) for dump in (LINKS, ADDRESSES, NEIGHBOURS)]
    for dump in dumps:
        position = data.draw(st.integers(0, len(dump) - 1))
        dump[position] = data.draw(st.integers(0, 255))
        del dump[data.draw(st.integers(0, len(dump))) :]
    with suppress(CollectorError):
        read(host(*map(bytes, dumps)))
