"""Multipath devices of the device mapper: /sys/block/dm-*/dm and the block devices that are their paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import gauge
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family, Item, Sample
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

LABELS = ("device", "sysfs_name")
ACTIVE = gauge("node_dmmultipath_device_active", "Whether the device takes I/O: 0 while it is suspended.", *LABELS)
INFO = gauge("node_dmmultipath_device_info", "What a multipath device is; always 1.", *LABELS, "uuid")
PATHS = gauge("node_dmmultipath_device_paths", "Paths of the device.", *LABELS)
PATHS_ACTIVE = gauge("node_dmmultipath_device_paths_active", "Paths that work.", *LABELS)
PATHS_FAILED = gauge("node_dmmultipath_device_paths_failed", "Paths that do not work.", *LABELS)
SIZE = gauge("node_dmmultipath_device_size_bytes", "Size of the device.", *LABELS)
STATE = gauge("node_dmmultipath_path_state", "The state of a path's device; always 1.", "device", "path", "state")
FAMILIES = (ACTIVE, INFO, PATHS, PATHS_ACTIVE, PATHS_FAILED, SIZE, STATE)
# The driver sets the prefix of the UUID; other devices of the device mapper have LVM-, CRYPT- and so on.
PREFIX = "mpath-"
# What a SCSI disk and an NVMe controller call a device that works.
WORKING = frozenset(("running", "live"))
SECTOR_BYTES = 512


class Device(NamedTuple):
    """One multipath device: its name in sysfs, in the device mapper, and its UUID."""

    sysfs_name: str
    name: str
    uuid: str


class DmMultipathCollector:
    """Exports every multipath device and the states of its paths."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/block"

    def collect(self) -> list[Item]:
        """Return one sample per device, and per path.

        Raises:
            NoDataError: The machine has no multipath device.
        """
        losses = Losses()
        devices = self._devices(losses)
        if not devices and not losses.count:
            raise NoDataError(f"{self._base}: no multipath device")
        samples: dict[Family, list[Sample]] = {family: [] for family in FAMILIES}
        for device in devices:
            labels = (device.name, device.sysfs_name)
            samples[INFO].append(((*labels, device.uuid), 1))
            with losses:
                samples[ACTIVE].append((labels, int(self._number(device, "dm/suspended") != 1)))
            with losses:
                samples[SIZE].append((labels, self._number(device, "size") * SECTOR_BYTES))
            with losses:
                self._read_paths(device, samples, losses)
        return losses.settle(list(samples.items()))

    def _devices(self, losses: Losses) -> list[Device]:
        found: list[Device] = []
        for entry in self._host.entries(self._base):
            if not entry.startswith("dm-"):
                continue
            uuid = self._host.attribute(f"{self._base}/{entry}/dm/uuid") or ""
            if uuid.startswith(PREFIX):
                with losses:
                    found.append(Device(entry, self._text(entry, "dm/name"), uuid))
        return found

    def _read_paths(self, device: Device, samples: dict[Family, list[Sample]], losses: Losses) -> None:
        names = self._host.entries(f"{self._base}/{device.sysfs_name}/slaves")
        states: list[str] = []
        for name in names:
            with losses:
                state = self._text(name, "device/state")
                states.append(state)
                samples[STATE].append(((device.name, name, state), 1))
        labels = (device.name, device.sysfs_name)
        samples[PATHS].append((labels, len(names)))
        # A state that cannot be read costs both counts: one too low would look like a failed path, or hide one.
        if len(states) == len(names):
            working = sum(state in WORKING for state in states)
            samples[PATHS_ACTIVE].append((labels, working))
            samples[PATHS_FAILED].append((labels, len(names) - working))

    def _text(self, entry: str, file: str) -> str:
        path = f"{self._base}/{entry}/{file}"
        text = self._host.attribute(path)
        if not text:
            raise CollectorError(f"{path} is empty or cannot be read")
        return text

    def _number(self, device: Device, file: str) -> int:
        return whole(self._text(device.sysfs_name, file), f"{file} of {device.sysfs_name}")


SPEC = Spec("dmmultipath", seldom(DmMultipathCollector), "multipath devices")
