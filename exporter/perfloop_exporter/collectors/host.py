"""The machine as collectors see it: its /proc, /sys and mounts, wherever they are, and the calls that tests replace."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from errno import EACCES, EINVAL, EIO, ENODATA, ENODEV, ENOENT, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM
from typing import TYPE_CHECKING, NoReturn

from perfloop_exporter.collectors import netlink
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Without O_NONBLOCK a pipe in the place of a file would be waited on; Windows has neither flag.
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# seq_file hands out about a page at a time; most files come in one piece of this size.
CHUNK = 1 << 16
# No kernel file that is read here comes near this; what does is damaged or not a kernel file.
LIMIT = 1 << 24
ABSENT = frozenset({ENOENT, ENOTDIR, ENODEV, ENXIO})
# What sysfs answers for an attribute that exists but has no value now (a link that is down, a sensor asleep).
UNREADABLE = ABSENT | {EACCES, EINVAL, EIO, ENODATA, EOPNOTSUPP, EPERM}


def read_bytes(path: str) -> bytes:
    """The whole file; the OSError is the caller's to understand."""
    descriptor = os.open(path, FLAGS)
    try:
        data = os.read(descriptor, CHUNK)
        if not data:
            return data
        more = os.read(descriptor, CHUNK)
        while more and len(data) < LIMIT:
            data += more
            more = os.read(descriptor, CHUNK)
        return data
    finally:
        os.close(descriptor)


def _adjtimex() -> Sequence[int]:
    # ctypes is loaded when the clock is first asked for.
    from perfloop_exporter.collectors.adjtimex import read_clock

    return read_clock()


def _missing(*_: str) -> NoReturn:
    raise NoDataError("this system has no such call")


# Windows has neither.
STATVFS: Callable[[str], os.statvfs_result] = getattr(os, "statvfs", _missing)
UNAME: Callable[[], os.uname_result] = getattr(os, "uname", _missing)


def device_of(path: str) -> tuple[int, int]:
    """The numbers of the device that a path lies on."""
    number = os.stat(path).st_dev  # noqa: PTH116  # the same family of calls as beside it
    return os.major(number), os.minor(number)


def read_once(path: str) -> bytes:
    """A file that is whole in one read: every attribute of sysfs and cgroup is, up to a page."""
    descriptor = os.open(path, FLAGS)
    try:
        return os.read(descriptor, CHUNK)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Host:
    """Where to look, and the few system calls that no file answers."""

    proc: str = "/proc"
    sys: str = "/sys"
    root: str = "/"
    udev: str = "/run/udev/data"
    clock_ticks: int = 100
    now: Callable[[], float] = time.time
    statvfs: Callable[[str], os.statvfs_result] = STATVFS
    device: Callable[[str], tuple[int, int]] = device_of
    uname: Callable[[], os.uname_result] = UNAME
    tcp_dumps: Callable[[], Sequence[bytes]] = netlink.tcp_dumps
    adjtimex: Callable[[], Sequence[int]] = _adjtimex

    def read(self, path: str) -> str:
        """The text of a file that the collector cannot do without."""
        try:
            return read_bytes(path).decode("utf-8", "replace")
        except OSError as error:
            kind = NoDataError if error.errno in ABSENT else CollectorError
            raise kind(f"{path}: {error.strerror}") from error

    def read_proc(self, name: str) -> str:
        """A file below /proc."""
        return self.read(f"{self.proc}/{name}")

    def read_net(self, name: str) -> str:
        """A file below /proc/net, in the network of the machine's first process when /proc is another machine's view.

        PROCFS/net leads to the network of whoever reads it: in a container that is the container's own.
        """
        if self.proc != "/proc":
            try:
                return self.read(f"{self.proc}/1/net/{name}")
            except CollectorError:
                return self.read(f"{self.proc}/net/{name}")
        return self.read(f"{self.proc}/net/{name}")

    def read_sys(self, name: str) -> str:
        """A file below /sys."""
        return self.read(f"{self.sys}/{name}")

    def attribute(self, path: str) -> str | None:
        """The stripped text of a small file that may be missing or have no value now."""
        try:
            return read_once(path).decode("utf-8", "replace").strip()
        except OSError as error:
            if error.errno in UNREADABLE:
                return None
            raise CollectorError(f"{path}: {error.strerror}") from error

    def folders(self, path: str) -> list[str]:
        """The sorted names of the folders in a folder; none when it is gone."""
        try:
            with os.scandir(path) as found:
                return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
        except OSError:
            return []

    def entries(self, path: str) -> list[str]:
        """The sorted names in a folder."""
        try:
            with os.scandir(path) as found:
                return sorted(entry.name for entry in found)
        except OSError as error:
            kind = NoDataError if error.errno in ABSENT else CollectorError
            raise kind(f"{path}: {error.strerror}") from error


def whole(text: str, where: str, base: int = 10) -> int:
    """A whole number as the kernel writes it."""
    try:
        return int(text, base)
    except ValueError as error:
        raise CollectorError(f"{where}: '{text[:40]}' is not a whole number") from error


def decimal(text: str, where: str) -> float:
    """A finite number as the kernel writes it."""
    try:
        value = float(text)
    except ValueError as error:
        raise CollectorError(f"{where}: '{text[:40]}' is not a number") from error
    if value - value != 0:
        raise CollectorError(f"{where}: '{text[:40]}' is not a finite number")
    return value
