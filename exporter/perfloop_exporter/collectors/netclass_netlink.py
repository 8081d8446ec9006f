"""Properties of network devices over netlink: `--collector.netclass.netlink`.

The kernel answers one request for all devices, without the lock that reading the files of /sys/class/net takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors import rtnetlink
from perfloop_exporter.collectors.families import Family, Reading, Sample, counter, gauge
from perfloop_exporter.collectors.netdev_netlink import DETAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.rtnetlink import Link

# RFC 2863, in the order of enum IF_OPER_* of linux/if.h.
STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
INFO = gauge(
    "node_network_info",
    "What a network device is; always 1.",
    *("device", "address", "broadcast", "duplex", "operstate", "ifalias"),
)
OTHER_NAMES = gauge("node_network_altnames_info", "A further name of a device; always 1.", "altname", "device")


class Attribute(NamedTuple):
    """A family without its prefix, and how it is read from a device; None where the kernel does not return it."""

    name: str
    read: Callable[[Link], int | None]


def _number(attribute: int) -> Callable[[Link], int | None]:
    return lambda link: link.value(attribute)


def _peer(link: Link) -> int | None:
    # The kernel leaves IFLA_LINK out for a device that is its own.
    return link.value(rtnetlink.IFLA_LINK) or link.number


ATTRIBUTES = (
    Attribute("carrier", _number(rtnetlink.IFLA_CARRIER)),
    Attribute("carrier_changes_total", _number(rtnetlink.IFLA_CARRIER_CHANGES)),
    Attribute("carrier_down_changes_total", _number(rtnetlink.IFLA_CARRIER_DOWN_COUNT)),
    Attribute("carrier_up_changes_total", _number(rtnetlink.IFLA_CARRIER_UP_COUNT)),
    Attribute("dormant", _number(rtnetlink.IFLA_LINKMODE)),
    Attribute("flags", lambda link: link.flags),
    Attribute("iface_id", lambda link: link.number),
    Attribute("iface_link", _peer),
    Attribute("iface_link_mode", _number(rtnetlink.IFLA_LINKMODE)),
    Attribute("mtu_bytes", _number(rtnetlink.IFLA_MTU)),
    Attribute("net_dev_group", _number(rtnetlink.IFLA_GROUP)),
    Attribute("transmit_queue_length", _number(rtnetlink.IFLA_TXQLEN)),
    Attribute("protocol_type", lambda link: link.kind),
)


def operstate(link: Link) -> str:
    """Return the operational state of a device."""
    number = link.value(rtnetlink.IFLA_OPERSTATE) or 0
    return STATES[number] if number < len(STATES) else STATES[0]


def read_attributes(host: Host, wanted: Callable[[str], bool]) -> tuple[list[Link], dict[str, list[Sample]]]:
    """Return the devices that are wanted, and the samples of their attributes by the family's name without its prefix.

    Raises:
        CollectorError: The kernel refuses the request.
    """
    links = [link for link in rtnetlink.read_links(host) if wanted(link.name)]
    samples: dict[str, list[Sample]] = {}
    for name, read in ATTRIBUTES:
        found = ((link.name, read(link)) for link in links)
        samples[name] = [((device,), value) for device, value in found if value is not None]
    return links, samples


def info_sample(link: Link, duplex: str) -> Sample:
    """Return the sample of node_network_info; `duplex` is written as ethtool writes it."""
    labels = (
        *(link.name, link.hardware_address(rtnetlink.IFLA_ADDRESS), link.hardware_address(rtnetlink.IFLA_BROADCAST)),
        *(duplex.capitalize(), operstate(link), link.text(rtnetlink.IFLA_IFALIAS)),
    )
    return labels, 1


def other_names(links: list[Link]) -> Reading:
    """Return the further names of the devices."""
    return OTHER_NAMES, [((name, link.name), 1) for link in links for name in link.other_names() if name]


def statistics(links: list[Link]) -> list[Reading]:
    """Return the statistics of the devices: `--collector.netclass_rtnl.with-stats`."""
    counted = [(link.name, numbers) for link in links if (numbers := link.statistics())]
    return [
        (_statistic(name), [((device,), numbers[key]) for device, numbers in counted if key in numbers])
        for name, (key,) in DETAILED.items()
    ]


def _statistic(name: str) -> Family:
    return counter(f"node_network_{name}_total", f"Network device statistic {name}.", "device")
