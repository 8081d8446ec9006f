"""Traffic of network devices: /proc/net/dev (proc_net(5); kernel: Documentation/networking/statistics.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, Sample, counter, gauge
from perfloop_exporter.collectors.held_files import HeldFiles
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.netdev_netlink import read_statistics
from perfloop_exporter.collectors.rtnetlink import read_addresses
from perfloop_exporter.collectors.spec import Option, Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.collectors.families import Item, LabelValues
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FACE = re.compile(r" *(?P<device>[^ \n]+?): *(?P<columns>[0-9 ]+)")
COLUMN = re.compile(r"[a-z]+")
ADDRESS = gauge(
    "node_network_address_info",
    "An address of a network device; always 1.",
    *("device", "address", "netmask", "scope"),
)
# Columns whose name is longer with --collector.netdev.enable-detailed-metrics.
DETAILED_COLUMNS = {"errs": "errors", "drop": "dropped"}


def parse_columns(header: str) -> tuple[str, ...]:
    """Return the names of the columns, such as receive_bytes, in the file's order.

    Args:
        header: The file's second line, `face |RECEIVE COLUMNS |TRANSMIT COLUMNS`.

    Raises:
        CollectorError: The line does not have this form.
    """
    parts = header.split("|")
    if len(parts) != 3:  # noqa: PLR2004  # the device, what it received, what it sent
        raise CollectorError(f"/proc/net/dev: '{header[:60]}' does not head three groups of columns")
    keys = []
    for direction, names in (("receive", columns_of(parts[1])), ("transmit", columns_of(parts[2]))):
        for name in names:
            if not COLUMN.fullmatch(name):
                raise CollectorError(f"/proc/net/dev: '{name[:40]}' is not a column's name")
            keys.append(f"{direction}_{name}")
    return tuple(keys)


def statistic_family(key: str, *labels: str) -> Family:
    """Return the family of a statistic: receive_bytes is node_network_receive_bytes_total."""
    return counter(f"node_network_{key}_total", f"Network device statistic {key}.", "device", *labels)


def detailed_key(key: str) -> str:
    """Return the longer name of a column of the file."""
    direction, _, name = key.partition("_")
    return f"{direction}_{DETAILED_COLUMNS.get(name, name)}"


def parse_devices(lines: list[str], width: int, losses: Losses) -> dict[str, list[int]]:
    """Parse the lines `DEVICE: NUMBER…`.

    Args:
        lines: The file without its two headings.
        width: Number of columns after the device.
        losses: Takes the lines that do not have this form.

    Returns:
        Bytes, packets or events by device, in the order of the columns.
    """
    devices: dict[str, list[int]] = {}
    for line in lines:
        match = FACE.fullmatch(line)
        columns = match["columns"].split() if match else ()
        with losses:
            if match is None or len(columns) != width:
                raise CollectorError(f"/proc/net/dev: '{line[:60]}' is not a device and {width} numbers")
            devices[match["device"]] = [whole(column, "/proc/net/dev") for column in columns]
    return devices


class NetdevCollector:
    """Exports bytes, packets, errors and drops of each device."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._filter = build_filter("netdev", "device", options)
        self._files = HeldFiles()
        self._detailed = options.switch("enable-detailed-metrics")
        # Only the kernel's reply over netlink has the detailed statistics.
        self._netlink = bool(options.given.get("netlink", self._detailed))
        self._addresses = options.switch("address-info")
        self._ifalias = options.switch("label-ifalias")
        self._header = ""
        self._keys: tuple[str, ...] = ()
        self._families: dict[str, Family] = {}

    def collect(self) -> list[Item]:
        """Return one counter per column, one sample per device."""
        losses = Losses()
        keys, found = self._read_netlink() if self._netlink else self._read_file(losses)
        devices = {device: columns for device, columns in found.items() if not self._filter.skips(device)}
        labels = {device: self._labels(device) for device in devices}
        readings: list[Reading] = [
            (self._family(key), [(labels[device], columns[index]) for device, columns in devices.items()])
            for index, key in enumerate(keys)
        ]
        if not self._netlink:
            readings.append((self._family("receive_nohandler"), self._nohandler(labels, losses)))
        if self._addresses:
            with losses:
                readings.append((ADDRESS, self._address_samples()))
        return losses.settle(readings)

    def _read_netlink(self) -> tuple[tuple[str, ...], dict[str, list[int]]]:
        return read_statistics(self._host, detailed=self._detailed)

    def _read_file(self, losses: Losses) -> tuple[tuple[str, ...], dict[str, list[int]]]:
        lines = lines_of(self._host.read_net("dev"))
        if len(lines) < 2:  # noqa: PLR2004  # the file has two lines of headings
            raise CollectorError("/proc/net/dev has no headings")
        if lines[1] != self._header:
            keys, self._header = parse_columns(lines[1]), lines[1]
            self._keys = tuple(map(detailed_key, keys)) if self._detailed else keys
        return self._keys, parse_devices(lines[2:], len(self._keys), losses)

    def _family(self, key: str) -> Family:
        family = self._families.get(key)
        if family is None:
            family = statistic_family(key, "ifalias") if self._ifalias else statistic_family(key)
            self._families[key] = family
        return family

    def _labels(self, device: str) -> LabelValues:
        if not self._ifalias:
            return (device,)
        return device, self._host.attribute(f"{self._host.sys}/class/net/{device}/ifalias") or ""

    def _nohandler(self, labels: Mapping[str, LabelValues], losses: Losses) -> list[Sample]:
        # Packets without a registered protocol handler are no column of the file.
        base = f"{self._host.sys}/class/net"
        self._files.keep({f"{base}/{name}/statistics" for name in labels})
        samples: list[Sample] = []
        for name, values in labels.items():
            text = self._files.read(f"{base}/{name}/statistics/rx_nohandler")
            with losses:
                if text:
                    samples.append((values, whole(text, f"rx_nohandler of {name}")))
        return samples

    def _address_samples(self) -> list[Sample]:
        return [
            ((one.device, str(one.address), str(one.prefix), one.scope), 1)
            for one in read_addresses(self._host)
            if not self._filter.skips(one.device)
        ]


SPEC = Spec(
    "netdev",
    NetdevCollector,
    "traffic of network devices",
    (
        *filter_options("device", "network devices"),
        # Off, unlike in node_exporter: the file is of the machine's namespace also where /proc is mounted elsewhere.
        Option("netlink", False, "ask the kernel over netlink instead of reading /proc/net/dev"),  # noqa: FBT003  # off
        Option("address-info", False, "export node_network_address_info"),  # noqa: FBT003  # off
        Option("enable-detailed-metrics", False, "export every statistic under a name of its own"),  # noqa: FBT003  # off
        Option("label-ifalias", False, "add the label ifalias"),  # noqa: FBT003  # off
    ),
)
