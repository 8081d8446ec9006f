"""The collectors of macOS and Windows: what psutil reads there, under the Linux collectors' names.

One module for all: each collector is a few lines that rename psutil's fields to a family of the Linux collector of the
same subject, so that rules and dashboards work unchanged.
"""

from __future__ import annotations

import platform
import time
from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors import cpu, diskstats, gpu, netdev, textfile, thresholds
from perfloop_exporter.collectors.clock import SECONDS, ZONE
from perfloop_exporter.collectors.families import Family, Reading, Sample, gauge, single
from perfloop_exporter.collectors.filesystem import AVAIL, DEVICE_ERROR, FREE, READONLY, SIZE
from perfloop_exporter.collectors.loadavg import LOADS
from perfloop_exporter.collectors.meminfo import field_family
from perfloop_exporter.collectors.proc_stat import FAMILIES as STAT
from perfloop_exporter.collectors.process import CPU, RESIDENT, START, VIRTUAL
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options
from perfloop_exporter.collectors.uname import INFO, NO_DOMAIN

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


class BoottimeCollector:
    """Exports the boot time."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """Return one gauge, in unix time."""
        return [single(STAT["btime"], psutil.boot_time())]


class CpuCollector:
    """Exports the CPU times."""

    # psutil's name for a mode that node_exporter calls otherwise; guest time is part of user time, too.
    RENAMED = {"interrupt": "irq"}  # noqa: RUF012  # a table
    LEFT_OUT = frozenset({"guest", "guest_nice"})

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """Return the seconds by CPU and mode."""
        samples = [
            ((str(number), self.RENAMED.get(mode, mode)), seconds)
            for number, times in enumerate(psutil.cpu_times(percpu=True))
            for mode, seconds in times._asdict().items()
            if mode not in self.LEFT_OUT
        ]
        return [(cpu.SECONDS, samples)]


class DiskstatsCollector:
    """Exports operations, bytes and times of each disk."""

    # psutil's field and its family; times are in milliseconds.
    FIELDS = {  # noqa: RUF012  # a table
        "read_count": "node_disk_reads_completed_total",
        "read_bytes": "node_disk_read_bytes_total",
        "read_time": "node_disk_read_time_seconds_total",
        "write_count": "node_disk_writes_completed_total",
        "write_bytes": "node_disk_written_bytes_total",
        "write_time": "node_disk_write_time_seconds_total",
        "busy_time": "node_disk_io_time_seconds_total",
    }

    def __init__(self, _host: Host, options: Options) -> None:
        self._filter = build_filter("diskstats", "device", options)
        self._families = {family.name: family for family, _, _ in diskstats.COLUMNS}

    def collect(self) -> list[Reading]:
        """Return one family per field, one sample per disk that has the field."""
        found = psutil.disk_io_counters(perdisk=True) or {}
        disks = {name: counts._asdict() for name, counts in found.items() if not self._filter.skips(name)}
        return [
            (
                self._families[name],
                [
                    ((disk,), counts[field] / (diskstats.MILLISECONDS if field.endswith("_time") else 1))
                    for disk, counts in disks.items()
                    if field in counts
                ],
            )
            for field, name in self.FIELDS.items()
        ]


class FilesystemCollector:
    """Exports size and space of every mount."""

    MOUNTS_EXCLUDE = r"^/(dev|System/Volumes/(VM|Preboot|Update|xarts|iSCPreboot|Hardware))($|/)"
    TYPES_EXCLUDE = "^(autofs|devfs|nullfs)$"

    def __init__(self, _host: Host, options: Options) -> None:
        self._mounts = build_filter("filesystem", "mount-points", options)
        self._types = build_filter("filesystem", "fs-types", options)

    def collect(self) -> list[Reading]:
        """Return one sample per mount; for one that cannot be read, such as an empty drive, device_error says why."""
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


class LoadavgCollector:
    """Exports the three load averages, which psutil emulates on Windows."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """Return one gauge per average."""
        return [single(family, load) for family, load in zip(LOADS, psutil.getloadavg(), strict=True)]


class MeminfoCollector:
    """Exports memory and swap, in bytes: the Linux names first, then node_exporter's own names for macOS."""

    LINUX = {"total": "MemTotal", "available": "MemAvailable", "free": "MemFree"}  # noqa: RUF012  # a table
    LINUX_SWAP = {"total": "SwapTotal", "free": "SwapFree"}  # noqa: RUF012  # a table
    DARWIN = ("total", "free", "active", "inactive", "wired")
    DARWIN_SWAP = ("total", "used")

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """Return one gauge per figure that the system has."""
        memory, swap = psutil.virtual_memory()._asdict(), psutil.swap_memory()._asdict()
        named = [(field_family(name, "kB"), memory[key]) for key, name in self.LINUX.items() if key in memory]
        named += [(field_family(name, "kB"), swap[key]) for key, name in self.LINUX_SWAP.items()]
        # Only macOS has wired memory.
        if "wired" in memory:
            named += [(_darwin(key), memory[key]) for key in self.DARWIN]
            named += [(_darwin(f"swap_{key}"), swap[key]) for key in self.DARWIN_SWAP]
        return [single(family, value) for family, value in named]


def _darwin(name: str) -> Family:
    return gauge(f"node_memory_{name}_bytes", f"Memory information field {name}_bytes.")


class NetdevCollector:
    """Exports bytes, packets, errors and drops of each device."""

    # psutil's field, and the direction and column of the Linux collector.
    FIELDS = {  # noqa: RUF012  # a table
        "bytes_recv": ("receive", "bytes"),
        "packets_recv": ("receive", "packets"),
        "errin": ("receive", "errs"),
        "dropin": ("receive", "drop"),
        "bytes_sent": ("transmit", "bytes"),
        "packets_sent": ("transmit", "packets"),
        "errout": ("transmit", "errs"),
        "dropout": ("transmit", "drop"),
    }

    def __init__(self, _host: Host, options: Options) -> None:
        self._filter = build_filter("netdev", "device", options)
        self._families = {field: netdev.statistic_family("_".join(names)) for field, names in self.FIELDS.items()}

    def collect(self) -> list[Reading]:
        """Return one counter per field, one sample per device."""
        found = psutil.net_io_counters(pernic=True)
        devices = {name: counts._asdict() for name, counts in found.items() if not self._filter.skips(name)}
        return [
            (family, [((name,), counts[field]) for name, counts in devices.items()])
            for field, family in self._families.items()
        ]


class TimeCollector:
    """Exports the system time and the time zone."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """Return the time at the moment of this call, in seconds."""
        now = self._host.now()
        zone = time.localtime(now)
        return [single(SECONDS, now), (ZONE, [((zone.tm_zone,), zone.tm_gmtoff)])]


class UnameCollector:
    """Exports system, release and machine."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """Return one sample with everything in its labels."""
        name = platform.uname()
        return [(INFO, [((NO_DOMAIN, name.machine, name.node, name.release, name.system, name.version), 1)])]


class ProcessCollector:
    """Exports the CPU time and memory of the exporter itself."""

    def __init__(self, _host: Host) -> None:
        self._process = psutil.Process()

    def collect(self) -> list[Reading]:
        """Return CPU seconds, bytes of memory, and the start in unix time."""
        times, memory = self._process.cpu_times(), self._process.memory_info()
        return [
            single(CPU, times.user + times.system),
            single(RESIDENT, memory.rss),
            single(VIRTUAL, memory.vms),
            single(START, self._process.create_time()),
        ]


SPECS = (
    Spec("boottime", BoottimeCollector, "boot time"),
    Spec("cpu", CpuCollector, "CPU time by mode"),
    Spec("diskstats", DiskstatsCollector, "I/O of disks", filter_options("device", "block devices")),
    Spec(
        "filesystem",
        FilesystemCollector,
        "space of filesystems",
        (
            *filter_options("mount-points", "mount points", default=FilesystemCollector.MOUNTS_EXCLUDE),
            *filter_options("fs-types", "filesystem types", default=FilesystemCollector.TYPES_EXCLUDE),
        ),
    ),
    gpu.SPEC,
    Spec("loadavg", LoadavgCollector, "load averages"),
    Spec("meminfo", MeminfoCollector, "memory by use"),
    Spec("netdev", NetdevCollector, "traffic of network devices", filter_options("device", "network devices")),
    textfile.SPEC,
    thresholds.SPEC,
    Spec("time", TimeCollector, "system time and time zone"),
    Spec("uname", UnameCollector, "system and machine"),
)
