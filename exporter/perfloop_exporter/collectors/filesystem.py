"""Space and inodes of filesystems: /proc/1/mountinfo and statvfs(3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perfloop_base.durations import parse_positive_duration
from perfloop_base.errors import ConfigError
from perfloop_exporter.collectors.families import Family, Sample, gauge
from perfloop_exporter.collectors.host import lines_of
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.mount_watch import MountWatch, may_hang
from perfloop_exporter.collectors.spec import Option, Spec, build_filter, filter_options
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    import os

    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# node_exporter's defaults: the kernel's own filesystems, and the layers of containers.
MOUNTS_EXCLUDE = r"^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
TYPES_EXCLUDE = (
    "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay"
    "|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs)$"
)


def _family(name: str, help_: str) -> Family:
    return gauge(f"node_filesystem_{name}", help_, "device", "mountpoint", "fstype", "device_error")


DEVICE_ERROR = _family("device_error", "Whether the filesystem could not be read.")
READONLY = _family("readonly", "Whether the filesystem is mounted read-only.")
SIZE = _family("size_bytes", "Size of the filesystem.")
FREE = _family("free_bytes", "Free space of the filesystem.")
AVAIL = _family("avail_bytes", "Space available to non-root users.")
PURGEABLE = _family("purgeable_bytes", "Space that the system would free; always 0 on Linux, only macOS has any.")
FILES = _family("files", "Inodes of the filesystem.")
FILES_FREE = _family("files_free", "Free inodes of the filesystem.")
MOUNT_INFO = gauge(
    "node_filesystem_mount_info", "Device numbers of a mount; always 1.", "device", "major", "minor", "mountpoint"
)

# Subvolumes have device numbers of their own. On every other filesystem below --path.rootfs, different numbers mean
# that the mount is newer than our container: statvfs would report the filesystem beneath it.
OWN_NUMBERS = frozenset({"btrfs", "bcachefs"})
# mountinfo writes space, tab, newline and backslash in octal, proc_pid_mountinfo(5).
OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """The exported fields of one line of mountinfo; `number` is `MAJOR:MINOR`."""

    device: str
    mountpoint: str
    fstype: str
    number: str
    readonly: bool


def unescape(text: str) -> str:
    """Replace the octal escapes of mountinfo."""
    return OCTAL.sub(lambda match: chr(int(match[1], 8)), text) if "\\" in text else text


def parse_mount(line: str) -> Mount:
    """Parse one line of mountinfo (proc_pid_mountinfo(5)).

    Args:
        line: `ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAGS…] - FSTYPE SOURCE SUPEROPTIONS`.

    Raises:
        CollectorError: The line does not have this form.
    """
    mount, separator, filesystem = line.partition(" - ")
    left, right = mount.split(" "), filesystem.split(" ")
    major, colon, minor = left[2].partition(":") if len(left) > 5 else ("", "", "")  # noqa: PLR2004  # six fixed fields
    if not (separator and len(right) > 1 and colon and major.isdigit() and minor.isdigit()):
        raise CollectorError(f"mountinfo: '{line[:80]}' is not a mount")
    options = {*left[5].split(","), *(right[2].split(",") if len(right) > 2 else ())}  # noqa: PLR2004  # third, if there
    return Mount(
        device=unescape(right[1]),
        mountpoint=unescape(left[4]),
        fstype=right[0],
        number=left[2],
        readonly=not options.isdisjoint({"ro", "emergency_ro"}),
    )


class FilesystemCollector:
    """Exports size, space and inodes of every mount that is not excluded."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._mounts = build_filter("filesystem", "mount-points", options)
        self._types = build_filter("filesystem", "fs-types", options)
        self._watch = MountWatch(host.statvfs, _parse_timeout(options.text("mount-timeout")))
        self._text = ""
        self._chosen: list[Mount] = []
        self._losses = Losses()

    def collect(self) -> list[Item]:
        """Return one sample per mount; for one that cannot be read, the reason is the label device_error."""
        samples: dict[Family, list[Sample]] = {
            family: []
            for family in (DEVICE_ERROR, READONLY, SIZE, FREE, AVAIL, PURGEABLE, FILES, FILES_FREE, MOUNT_INFO)
        }
        text = self._mountinfo()
        if text != self._text:  # mounts seldom change
            self._chosen, self._text = self._choose(text), text
        for mount in self._chosen:
            error, usage = self._ask(mount)
            labels = (mount.device, mount.mountpoint, mount.fstype, error)
            samples[DEVICE_ERROR].append((labels, int(usage is None)))
            samples[READONLY].append((labels, int(mount.readonly)))
            if usage is None:
                continue
            for family, value in _sizes(usage):
                samples[family].append((labels, value))
            major, _, minor = mount.number.partition(":")
            samples[MOUNT_INFO].append(((mount.device, major, minor, mount.mountpoint), 1))
        return self._losses.settle(list(samples.items()))

    def _choose(self, text: str) -> list[Mount]:
        mounts: dict[tuple[str, str, str], Mount] = {}
        self._losses = Losses()
        for line in lines_of(text):
            try:
                mount = self._seen_from_root(parse_mount(line))
            except CollectorError as error:
                self._losses.note(error)
                continue
            if self._mounts.skips(mount.mountpoint) or self._types.skips(mount.fstype):
                continue
            mounts.setdefault((mount.device, mount.mountpoint, mount.fstype), mount)
        return list(mounts.values())

    def _mountinfo(self) -> str:
        # With hidepid, /proc/1 cannot be seen or read; our own mounts are the same unless we run in a container.
        try:
            return self._host.read_proc("1/mountinfo", "surrogateescape")
        except CollectorError:
            return self._host.read_proc("self/mountinfo", "surrogateescape")

    def _seen_from_root(self, mount: Mount) -> Mount:
        """Return the mount with its path on the machine, where the machine's root is mounted at --path.rootfs."""
        root = self._host.root.rstrip("/")
        if not root or not f"{mount.mountpoint}/".startswith(f"{root}/"):
            return mount
        return mount._replace(mountpoint=mount.mountpoint[len(root) :] or "/")

    def _ask(self, mount: Mount) -> tuple[str, os.statvfs_result | None]:
        root = self._host.root.rstrip("/")
        path = f"{root}{mount.mountpoint}"
        try:
            usage = self._watch.ask(path) if may_hang(mount.fstype) else self._host.statvfs(path)
            if root and mount.fstype not in OWN_NUMBERS and self._host.device(path) != _numbers(mount):
                return "not mounted here", None
        except OSError as error:
            return (error.strerror or str(error)).lower(), None
        except ValueError as error:  # no path at all
            return str(error).lower(), None
        return "", usage


def _parse_timeout(text: str) -> float:
    try:
        return parse_positive_duration(text)
    except ValueError as error:
        raise ConfigError(f"--collector.filesystem.mount-timeout: {error}") from error


def _numbers(mount: Mount) -> tuple[int, int]:
    major, _, minor = mount.number.partition(":")
    return int(major), int(minor)


def _sizes(usage: os.statvfs_result) -> tuple[tuple[Family, int], ...]:
    return (
        (SIZE, usage.f_blocks * usage.f_frsize),
        (FREE, usage.f_bfree * usage.f_frsize),
        (AVAIL, usage.f_bavail * usage.f_frsize),
        (PURGEABLE, 0),
        (FILES, usage.f_files),
        (FILES_FREE, usage.f_ffree),
    )


SPEC = Spec(
    "filesystem",
    FilesystemCollector,
    "space and inodes of filesystems",
    (
        *filter_options("mount-points", "mount points", default=MOUNTS_EXCLUDE),
        Option("mount-timeout", "1s", "how long to wait for statvfs of a network filesystem"),
        *filter_options("fs-types", "filesystem types", default=TYPES_EXCLUDE),
    ),
)
