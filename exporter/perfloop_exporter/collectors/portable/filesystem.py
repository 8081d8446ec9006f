"""How full each filesystem is, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.filesystem import AVAIL, DEVICE_ERROR, FREE, READONLY, SIZE
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Family, Reading, Sample
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

MOUNTS_EXCLUDE = r"^/(dev|System/Volumes/(VM|Preboot|Update|xarts|iSCPreboot|Hardware))($|/)"
TYPES_EXCLUDE = "^(autofs|devfs|nullfs)$"


class FilesystemCollector:
    """Tells size and space of every mount."""

    def __init__(self, _host: Host, options: Options) -> None:
        self._mounts = build_filter("filesystem", "mount-points", options)
        self._types = build_filter("filesystem", "fs-types", options)

    def collect(self) -> list[Reading]:
        """One sample per mount; one that cannot be asked, such as an empty drive, says so in device_error."""
        samples: dict[Family, list[Sample]] = {family: [] for family in (DEVICE_ERROR, READONLY, SIZE, FREE, AVAIL)}
        for mount in psutil.disk_partitions():
            if self._mounts.skips(mount.mountpoint) or self._types.skips(mount.fstype):
                continue
            error, usage = "", None
            try:
                usage = psutil.disk_usage(mount.mountpoint)
            except OSError as refusal:
                error = (refusal.strerror or "error").lower()
            labels = (mount.device, mount.mountpoint, mount.fstype, error)
            samples[DEVICE_ERROR].append((labels, int(usage is None)))
            samples[READONLY].append((labels, int("ro" in mount.opts.split(","))))
            if usage is not None:
                samples[SIZE].append((labels, usage.total))
                samples[FREE].append((labels, usage.total - usage.used))
                samples[AVAIL].append((labels, usage.free))
        return list(samples.items())


SPEC = Spec(
    "filesystem",
    FilesystemCollector,
    "space of filesystems",
    (
        *filter_options("mount-points", "mount points", default=MOUNTS_EXCLUDE),
        *filter_options("fs-types", "filesystem types", default=TYPES_EXCLUDE),
    ),
)
