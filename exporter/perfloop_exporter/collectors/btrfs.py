"""Btrfs filesystems: /sys/fs/btrfs (kernel: fs/btrfs/sysfs.c), and the errors of their devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.btrfs_devices import ERRORS, Device, read_devices
from perfloop_exporter.collectors.families import Family, counter, gauge
from perfloop_exporter.collectors.filesystem import parse_mount
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

INFO = gauge("node_btrfs_info", "A filesystem and its label; always 1.", "label", "uuid")
RESERVE = gauge("node_btrfs_global_rsv_size_bytes", "Size of the global reserve.", "uuid")
COMMITS = counter("node_btrfs_commits_total", "Commits.", "uuid")
LAST_COMMIT = gauge("node_btrfs_last_commit_seconds", "How long the last commit took.", "uuid")
MAX_COMMIT = gauge("node_btrfs_max_commit_seconds", "How long the slowest commit took.", "uuid")
COMMIT_SECONDS = counter("node_btrfs_commit_seconds_total", "Time that all commits took.", "uuid")
RESERVED = gauge("node_btrfs_reserved_bytes", "Space reserved for a kind of data.", "block_group_type", "uuid")
LAYOUT_LABELS = ("block_group_type", "mode", "uuid")
USED = gauge("node_btrfs_used_bytes", "Space used by a kind of data in one layout.", *LAYOUT_LABELS)
SIZE = gauge("node_btrfs_size_bytes", "Space allocated to a kind of data in one layout.", *LAYOUT_LABELS)
RATIO = gauge("node_btrfs_allocation_ratio", "Bytes on disks for each byte of data in one layout.", *LAYOUT_LABELS)
DEVICE_LABELS = ("btrfs_dev_uuid", "device", "uuid")
DEVICE_SIZE = gauge("node_btrfs_device_size_bytes", "Size of a device of the filesystem.", *DEVICE_LABELS)
UNUSED = gauge("node_btrfs_device_unused_bytes", "Space of a device that is not allocated.", *DEVICE_LABELS)
DEVICE_ERRORS = counter("node_btrfs_device_errors_total", "Errors of a device, by type.", *DEVICE_LABELS, "type")
FAMILIES = (
    *(INFO, RESERVE, COMMITS, LAST_COMMIT, MAX_COMMIT, COMMIT_SECONDS, RESERVED),
    *(USED, SIZE, RATIO, DEVICE_SIZE, UNUSED, DEVICE_ERRORS),
)
# The words of the file commit_stats, the family of each, and the divisor to its unit.
COMMIT_STATISTICS: dict[str, tuple[Family, int]] = {
    "commits": (COMMITS, 1),
    "last_commit_ms": (LAST_COMMIT, 1000),
    "max_commit_ms": (MAX_COMMIT, 1000),
    "total_commit_ms": (COMMIT_SECONDS, 1000),
}
COPIES = {"single": 1, "raid0": 1, "dup": 2, "raid1": 2, "raid10": 2, "raid1c3": 3, "raid1c4": 4}
PARITIES = {"raid5": 1, "raid6": 2}
SECTOR_BYTES = 512
Devices = dict[str, list[Device]]


def allocation_ratio(layout: str, devices: int) -> float:
    """Return how many bytes a layout stores on disks for each byte of data; 0 for an unknown layout."""
    parity = PARITIES.get(layout)
    if parity is None:
        return COPIES.get(layout, 0)
    return devices / (devices - parity) if devices > parity else 0


class BtrfsCollector:
    """Exports allocation, commits and devices of each filesystem.

    Args:
        host: The machine.
        ask: Returns the UUID and the devices of the filesystem at a mount point.
    """

    def __init__(
        self, host: Host, _options: Options, ask: Callable[[str], tuple[str, list[Device]]] = read_devices
    ) -> None:
        self._host = host
        self._ask = ask
        self._base = f"{host.sys}/fs/btrfs"

    def collect(self) -> list[Item]:
        """Return one sample per filesystem, kind of data, layout and device.

        Raises:
            NoDataError: No Btrfs is mounted.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, FAMILIES)
        # Besides the filesystems, whose names are UUIDs, there is the directory features.
        names = [name for name in self._host.entries(self._base) if "-" in name]
        if not names:
            raise NoDataError(f"{self._base}: no filesystem")
        devices = self._devices()
        for name in names:
            with losses:
                self._read_filesystem(name, devices, numbers, losses)
        return losses.settle(numbers.readings())

    def _devices(self) -> Devices:
        """Return the devices of each filesystem by its UUID without dashes, where a mount of it can be opened."""
        found: Devices = {}
        text = ""
        for file in ("1/mountinfo", "self/mountinfo"):
            text = text or self._host.attribute(f"{self._host.proc}/{file}") or ""
        asked: set[str] = set()
        for line in lines_of(text):
            if " - btrfs " not in line:
                continue
            try:
                mount = parse_mount(line)
                if mount.device not in asked:
                    uuid, devices = self._ask(f"{self._host.root.rstrip('/')}{mount.mountpoint}")
                    found[uuid] = devices
                    asked.add(mount.device)
            except (CollectorError, OSError):
                # Another mount of the filesystem may do; else sysfs has at least the sizes.
                continue
        return found

    def _read_filesystem(self, name: str, devices: Devices, numbers: Numbers, losses: Losses) -> None:
        path = f"{self._base}/{name}"
        names = self._host.entries(f"{path}/devices")
        uuid = self._host.attribute(f"{path}/metadata_uuid") or name
        numbers.add(INFO, (self._host.attribute(f"{path}/label") or "", uuid), 1)
        numbers.add_files(f"{path}/allocation", {"global_rsv_size": RESERVE}, (uuid,))
        self._read_commits(path, uuid, numbers, losses)
        for kind in ("data", "metadata", "system"):
            allocation = f"{path}/allocation/{kind}"
            numbers.add_files(allocation, {"bytes_reserved": RESERVED}, (kind, uuid))
            for layout in self._host.directories(allocation):
                labels = (kind, layout, uuid)
                numbers.add_files(f"{allocation}/{layout}", {"used_bytes": USED, "total_bytes": SIZE}, labels)
                numbers.add(RATIO, labels, allocation_ratio(layout, len(names)))
        asked = devices.get(uuid.replace("-", ""))
        if asked is None:
            for device in names:
                sectors = numbers.read(f"{path}/devices/{device}/size")
                numbers.add(DEVICE_SIZE, ("", device, uuid), None if sectors is None else sectors * SECTOR_BYTES)
        for found in asked or ():
            _add_device(found, uuid, numbers)

    def _read_commits(self, path: str, uuid: str, numbers: Numbers, losses: Losses) -> None:
        # Kernels before 5.19 do not have it.
        for line in lines_of(self._host.attribute(f"{path}/commit_stats") or ""):
            words = columns_of(line)
            with losses:
                if len(words) != 2:  # noqa: PLR2004  # a name and its value
                    raise CollectorError(f"{path}/commit_stats: '{line[:60]}' is not a name and a number")
                family, divide = COMMIT_STATISTICS.get(words[0], (None, 1))
                if family is not None:
                    number = whole(words[1], f"{path}/commit_stats")
                    numbers.add(family, (uuid,), number / divide if divide > 1 else number)


def _add_device(device: Device, uuid: str, numbers: Numbers) -> None:
    labels = (device.uuid, device.name, uuid)
    numbers.add(DEVICE_SIZE, labels, device.size)
    numbers.add(UNUSED, labels, device.size - device.used)
    for kind, count in zip(ERRORS, device.errors, strict=True):
        numbers.add(DEVICE_ERRORS, (*labels, kind), count)


SPEC = Spec("btrfs", seldom(BtrfsCollector), "Btrfs filesystems")
