"""Properties and link state of network devices: /sys/class/net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors import netclass_netlink
from perfloop_exporter.collectors.families import Family, Late, Reading, Sample, counter, gauge
from perfloop_exporter.collectors.held_files import HeldFiles
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec, pattern
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

UP = gauge("node_network_up", "Whether the operational state of the device is up.", "device")
INFO = gauge(
    "node_network_info",
    "What a network device is; always 1.",
    *("device", "address", "adminstate", "broadcast", "duplex", "ifalias", "operstate"),
)
SPEED = gauge("node_network_speed_bytes", "Speed of the link in bytes per second.", "device")
# sysfs has Mbit/s.
BYTES_PER_MEGABIT = 125_000
# linux/if.h: the administrator has enabled the device.
IFF_UP = 1


PREFIX = "node_network_"


def _property(name: str) -> Family:
    build = counter if name.endswith("_total") else gauge
    return build(f"{PREFIX}{name}", f"Network device property: {name}", "device")


# Attribute file and its family (kernel: Documentation/ABI/testing/sysfs-class-net).
NUMBERS: dict[str, Family] = {
    "addr_assign_type": _property("address_assign_type"),
    "carrier": _property("carrier"),
    "carrier_changes": _property("carrier_changes_total"),
    "carrier_down_count": _property("carrier_down_changes_total"),
    "carrier_up_count": _property("carrier_up_changes_total"),
    "dev_id": _property("device_id"),
    "dormant": _property("dormant"),
    "flags": _property("flags"),
    "ifindex": _property("iface_id"),
    "iflink": _property("iface_link"),
    "link_mode": _property("iface_link_mode"),
    "mtu": _property("mtu_bytes"),
    "name_assign_type": _property("name_assign_type"),
    "netdev_group": _property("net_dev_group"),
    "tx_queue_len": _property("transmit_queue_length"),
    "type": _property("protocol_type"),
}
# What the kernel does not return over netlink.
NOT_IN_NETLINK = ("addr_assign_type", "dev_id", "name_assign_type")
WORDS = ("address", "broadcast", "duplex", "ifalias", "operstate")


def parse_number(text: str, where: str) -> int:
    """Parse a decimal number, or a hexadecimal one with the prefix 0x.

    Raises:
        CollectorError: It is neither; `where` names the attribute.
    """
    try:
        return int(text, 0)
    except ValueError as error:
        raise CollectorError(f"{where}: '{text[:40]}' is not a whole number") from error


class NetclassCollector:
    """Exports link state, speed, queue length and identity of each device."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/net"
        self._files = HeldFiles()
        self._ignored = pattern("netclass", "ignored-devices", options.text("ignored-devices"))
        self._drop_invalid_speed = options.switch("ignore-invalid-speed")
        self._netlink = options.switch("netlink")
        self._statistics = options.switch("rtnl-with-stats")

    def collect(self) -> list[Item]:
        """Return one family per attribute, one sample per device that has it now."""
        losses = Losses()
        if self._netlink:
            return self._ask(losses)
        samples: dict[Family, list[Sample]] = {family: [] for family in (UP, INFO, SPEED, *NUMBERS.values())}
        devices = self._host.entries(self._base)
        self._files.keep({f"{self._base}/{device}" for device in devices})
        for device in devices:
            if self._skips(device):
                continue
            self._look(device, samples, losses)
        return losses.settle(list(samples.items()))

    def _skips(self, device: str) -> bool:
        return self._ignored is not None and self._ignored.search(device) is not None

    def _ask(self, losses: Losses) -> list[Item]:
        """Return what the kernel returns over netlink, and from the files what it does not return there."""
        links, found = netclass_netlink.read_attributes(self._host, lambda name: not self._skips(name))
        self._files.keep({f"{self._base}/{link.name}" for link in links})
        speeds: list[Sample] = []
        infos: list[Sample] = []
        for link in links:
            numbers = self._numbers(link.name, (*NOT_IN_NETLINK, "speed"), losses)
            for file in NOT_IN_NETLINK:
                if file in numbers:
                    found.setdefault(NUMBERS[file].name.removeprefix(PREFIX), []).append(((link.name,), numbers[file]))
            if numbers.get("speed", -1) >= 0:
                speeds.append(((link.name,), numbers["speed"] * BYTES_PER_MEGABIT))
            duplex = self._files.read(f"{self._base}/{link.name}/duplex") or ""
            infos.append(netclass_netlink.info_sample(link, duplex))
        up = [((link.name,), int(netclass_netlink.operstate(link) == "up")) for link in links]
        readings: list[Reading] = [(UP, up), (netclass_netlink.INFO, infos), (SPEED, speeds)]
        readings += [(_property(name), samples) for name, samples in found.items()]
        readings.append(netclass_netlink.other_names(links))
        items = losses.settle(readings)
        if self._statistics:
            items.append(_after_others(netclass_netlink.statistics(links)))
        return items

    def _numbers(self, device: str, files: Iterable[str], losses: Losses) -> dict[str, int]:
        numbers: dict[str, int] = {}
        for file in files:
            text = self._files.read(f"{self._base}/{device}/{file}")
            if text:
                try:
                    numbers[file] = parse_number(text, f"{file} of {device}")
                except CollectorError as error:
                    losses.note(error)
        return numbers

    def _look(self, device: str, samples: dict[Family, list[Sample]], losses: Losses) -> None:
        directory = f"{self._base}/{device}"
        read = self._files.read
        operstate = read(f"{directory}/operstate")
        if operstate is None:  # a file such as bonding_masters, or a device removed since the listing
            return
        numbers = self._numbers(device, (*NUMBERS, "speed"), losses)
        for file, family in NUMBERS.items():
            if file in numbers:
                samples[family].append(((device,), numbers[file]))
        speed = numbers.get("speed")
        if speed is not None and (speed >= 0 or not self._drop_invalid_speed):
            samples[SPEED].append(((device,), speed * BYTES_PER_MEGABIT))
        words = {file: read(f"{directory}/{file}") or "" for file in WORDS}
        admin = "unknown" if "flags" not in numbers else "up" if numbers["flags"] & IFF_UP else "down"
        labels = (
            *(device, words["address"], admin, words["broadcast"], words["duplex"]),
            *(words["ifalias"], words["operstate"]),
        )
        samples[UP].append(((device,), int(operstate == "up")))
        samples[INFO].append((labels, 1))


def _after_others(readings: list[Reading]) -> Late:
    """Return the statistics that the collector netdev does not export: it has some of the same names."""
    return Late(lambda names: [reading for reading in readings if reading[0].name not in names])


SPEC = Spec(
    "netclass",
    NetclassCollector,
    "properties and link state of network devices",
    (
        Option("ignored-devices", "^$", "regular expression of network devices to leave out"),
        Option("ignore-invalid-speed", False, "leave out negative speeds, which mean unknown"),  # noqa: FBT003  # off
        Option("netlink", False, "ask the kernel over netlink instead of reading /sys/class/net"),  # noqa: FBT003  # off
        Option(
            "rtnl-with-stats",
            False,  # noqa: FBT003  # off
            "with netlink: export the statistics of the devices, too, in place of the collector netdev",
            flag="--collector.netclass_rtnl.with-stats",
        ),
    ),
)
