"""Traffic of network devices: /proc/net/dev (proc_net(5); kernel: Documentation/networking/statistics.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, Sample, counter
from perfloop_exporter.collectors.held_files import HeldFiles
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

FACE = re.compile(r" *(?P<device>[^ \n]+?): *(?P<columns>[0-9 ]+)")
COLUMN = re.compile(r"[a-z]+")
# Packets without a registered protocol handler: not a column of the file, but in /sys/class/net/*/statistics.
NOHANDLER = counter("node_network_receive_nohandler_total", "Network device statistic receive_nohandler.", "device")


def parse_columns(header: str) -> tuple[Family, ...]:
    """Return the families of the columns, in the file's order.

    Args:
        header: The file's second line, `face |RECEIVE COLUMNS |TRANSMIT COLUMNS`.

    Raises:
        CollectorError: The line does not have this form.
    """
    parts = header.split("|")
    if len(parts) != 3:  # noqa: PLR2004  # the device, what it received, what it sent
        raise CollectorError(f"/proc/net/dev: '{header[:60]}' does not head three groups of columns")
    families = []
    for direction, names in (("receive", columns_of(parts[1])), ("transmit", columns_of(parts[2]))):
        for name in names:
            if not COLUMN.fullmatch(name):
                raise CollectorError(f"/proc/net/dev: '{name[:40]}' is not a column's name")
            families.append(column_family(direction, name))
    return tuple(families)


def column_family(direction: str, name: str) -> Family:
    """Return the family of a column: `receive`, `bytes` is node_network_receive_bytes_total."""
    key = f"{direction}_{name}"
    return counter(f"node_network_{key}_total", f"Network device statistic {key}.", "device")


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
        self._header = ""
        self._families: tuple[Family, ...] = ()

    def collect(self) -> list[Item]:
        """Return one counter per column, one sample per device."""
        losses = Losses()
        lines = lines_of(self._host.read_net("dev"))
        if len(lines) < 2:  # noqa: PLR2004  # the file has two lines of headings
            raise CollectorError("/proc/net/dev has no headings")
        if lines[1] != self._header:
            self._families, self._header = parse_columns(lines[1]), lines[1]
        devices = {
            (device,): columns
            for device, columns in parse_devices(lines[2:], len(self._families), losses).items()
            if not self._filter.skips(device)
        }
        readings: list[Reading] = [
            (family, [(device, columns[index]) for device, columns in devices.items()])
            for index, family in enumerate(self._families)
        ]
        readings.append((NOHANDLER, self._nohandler([device for (device,) in devices], losses)))
        return losses.settle(readings)

    def _nohandler(self, devices: list[str], losses: Losses) -> list[Sample]:
        base = f"{self._host.sys}/class/net"
        self._files.keep({f"{base}/{name}/statistics" for name in devices})
        samples: list[Sample] = []
        for name in devices:
            text = self._files.read(f"{base}/{name}/statistics/rx_nohandler")
            with losses:
                if text:
                    samples.append(((name,), whole(text, f"rx_nohandler of {name}")))
        return samples


SPEC = Spec("netdev", NetdevCollector, "traffic of network devices", filter_options("device", "network devices"))
