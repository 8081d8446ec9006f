"""Disk I/O statistics: /proc/diskstats, with the device's properties from udev and /sys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import Family, Reading, Sample, counter, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# A sector of this file is 512 bytes on every disk, a time is in milliseconds (kernel: admin-guide/iostats.rst).
SECTOR_BYTES = 512
MILLISECONDS = 1000
# node_exporter's default: RAM disks, loop devices, floppies and partitions.
DEVICE_EXCLUDE = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$"

INFO = gauge(
    "node_disk_info",
    "What a block device is; always 1.",
    *("device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational"),
)
FILESYSTEM = gauge(
    "node_disk_filesystem_info",
    "The filesystem on a block device; always 1.",
    "device",
    "type",
    "usage",
    "uuid",
    "version",
)
MAPPER = gauge(
    "node_disk_device_mapper_info",
    "What a mapped device is made of; always 1.",
    *("device", "lv_layer", "lv_name", "name", "uuid", "vg_name"),
)
# udev properties of ATA disks.
ATA = {
    "ID_ATA_WRITE_CACHE": gauge("node_disk_ata_write_cache", "Whether an ATA disk has a write cache.", "device"),
    "ID_ATA_WRITE_CACHE_ENABLED": gauge(
        "node_disk_ata_write_cache_enabled", "Whether the write cache of an ATA disk is on.", "device"
    ),
    "ID_ATA_ROTATION_RATE_RPM": gauge(
        "node_disk_ata_rotation_rate_rpm", "Rotations per minute of an ATA disk, 0 without any.", "device"
    ),
}


def _disk(name: str, help_: str, multiply: int = 1, divide: int = 1) -> tuple[Family, int, int]:
    return counter(f"node_disk_{name}", help_, "device"), multiply, divide


# The columns after the device's name; kernels before 4.18 end after the eleventh, before 5.5 after the fifteenth.
COLUMNS = (
    _disk("reads_completed_total", "Reads completed."),
    _disk("reads_merged_total", "Reads merged with a neighbour before they were queued."),
    _disk("read_bytes_total", "Bytes read.", multiply=SECTOR_BYTES),
    _disk("read_time_seconds_total", "Seconds spent by all reads.", divide=MILLISECONDS),
    _disk("writes_completed_total", "Writes completed."),
    _disk("writes_merged_total", "Writes merged with a neighbour before they were queued."),
    _disk("written_bytes_total", "Bytes written.", multiply=SECTOR_BYTES),
    _disk("write_time_seconds_total", "Seconds spent by all writes.", divide=MILLISECONDS),
    (gauge("node_disk_io_now", "I/Os in progress.", "device"), 1, 1),
    _disk("io_time_seconds_total", "Seconds in which at least one I/O was in progress.", divide=MILLISECONDS),
    _disk("io_time_weighted_seconds_total", "Seconds of I/O, times the I/Os in progress.", divide=MILLISECONDS),
    _disk("discards_completed_total", "Discards completed."),
    _disk("discards_merged_total", "Discards merged with a neighbour before they were queued."),
    _disk("discarded_sectors_total", "Sectors discarded."),
    _disk("discard_time_seconds_total", "Seconds spent by all discards.", divide=MILLISECONDS),
    _disk("flush_requests_total", "Flush requests completed."),
    _disk("flush_requests_time_seconds_total", "Seconds spent by all flush requests.", divide=MILLISECONDS),
)
LEAST_COLUMNS = 11


class Disk(NamedTuple):
    """One line of /proc/diskstats."""

    major: str
    minor: str
    device: str
    columns: tuple[int, ...]


def parse_disk(words: list[str]) -> Disk:
    """Parse a line of /proc/diskstats: `MAJOR MINOR DEVICE` and 11 to 17 counters.

    The counters are sectors of 512 bytes, milliseconds or operations; COLUMNS has the factor of each
    (kernel: Documentation/admin-guide/iostats.rst).

    Raises:
        CollectorError: The line has fewer than 14 columns, or one that is not a whole number.
    """
    if len(words) < 3 + LEAST_COLUMNS:
        raise CollectorError(f"/proc/diskstats: '{' '.join(words)[:60]}' has fewer than {3 + LEAST_COLUMNS} columns")
    major, minor, device, *columns = words
    whole(major, "/proc/diskstats: major number")
    whole(minor, "/proc/diskstats: minor number")
    return Disk(major, minor, device, tuple(whole(column, f"/proc/diskstats: {device}") for column in columns))


def parse_properties(text: str) -> dict[str, str]:
    """Parse a device's file in udev's database (/run/udev/data): the lines `E:NAME=VALUE`."""
    pairs = (line[2:].partition("=") for line in lines_of(text) if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


class DiskstatsCollector:
    """Exports operations, bytes and times of each disk."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._filter = build_filter("diskstats", "device", options)

    def collect(self) -> list[Item]:
        """Return one family per column, one sample per disk that has the column."""
        losses = Losses()
        disks = self._disks(losses)
        readings: list[Reading] = []
        known = {disk: self._properties(disk) for disk in disks}
        readings.append((INFO, [self._info(disk, properties) for disk, properties in known.items()]))
        for index, (family, multiply, divide) in enumerate(COLUMNS):
            readings.append(
                (
                    family,
                    [
                        (
                            (disk.device,),
                            disk.columns[index] * multiply if divide == 1 else disk.columns[index] / divide,
                        )
                        for disk in disks
                        if index < len(disk.columns)
                    ],
                )
            )
        return losses.settle(readings + _udev(known, losses))

    def _disks(self, losses: Losses) -> list[Disk]:
        disks = []
        for line in lines_of(self._host.read_proc("diskstats")):
            words = columns_of(line)
            if len(words) > 2 and self._filter.skips(words[2]):  # noqa: PLR2004  # after the major and the minor number
                continue
            with losses:
                disks.append(parse_disk(words))
        return disks

    def _properties(self, disk: Disk) -> dict[str, str]:
        return parse_properties(self._host.attribute(f"{self._host.udev}/b{disk.major}:{disk.minor}") or "")

    def _info(self, disk: Disk, known: dict[str, str]) -> Sample:
        serial = known.get("SCSI_IDENT_SERIAL") or known.get("ID_SERIAL_SHORT") or known.get("ID_SERIAL", "")
        rotational = self._host.attribute(f"{self._host.sys}/block/{disk.device}/queue/rotational")
        names = ("ID_PATH", "ID_WWN", "ID_MODEL")
        labels = (
            *(disk.device, disk.major, disk.minor),
            *(known.get(name, "") for name in names),
            *(serial, known.get("ID_REVISION", ""), "1" if rotational == "1" else "0"),
        )
        return labels, 1


def _udev(known: dict[Disk, dict[str, str]], losses: Losses) -> list[Reading]:
    """Return the filesystem, device mapper and ATA properties from udev's database."""
    filesystems: list[Sample] = []
    mapped: list[Sample] = []
    ata: dict[str, list[Sample]] = {name: [] for name in ATA}
    for disk, properties in known.items():
        labels = partial(_labels, disk.device, properties)
        if properties.get("ID_FS_TYPE"):
            filesystems.append((labels("ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_UUID", "ID_FS_VERSION"), 1))
        if properties.get("DM_NAME"):
            mapped.append((labels("DM_LV_LAYER", "DM_LV_NAME", "DM_NAME", "DM_UUID", "DM_VG_NAME"), 1))
        for name in ATA.keys() & properties.keys() if properties.get("ID_ATA") else ():
            with losses:
                ata[name].append(((disk.device,), whole(properties[name], f"udev: {name} of {disk.device}")))
    return [(FILESYSTEM, filesystems), (MAPPER, mapped), *((family, ata[name]) for name, family in ATA.items())]


def _labels(device: str, properties: dict[str, str], *names: str) -> tuple[str, ...]:
    return (device, *(properties.get(name, "") for name in names))


SPEC = Spec(
    "diskstats", DiskstatsCollector, "I/O of disks", filter_options("device", "block devices", default=DEVICE_EXCLUDE)
)
