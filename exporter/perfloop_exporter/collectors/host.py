"""What collectors read: /proc, /sys and mounts, wherever they are mounted, and system calls that tests replace."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from errno import ENODEV, ENOENT, ENOTDIR, ENXIO
from typing import TYPE_CHECKING, NoReturn

from perfloop_exporter.collectors import netlink
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# O_NONBLOCK: opening a named pipe in place of a file would block. Windows has none of these flags but O_BINARY.
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# seq_file returns about a page per read; most files fit into one read of this size.
CHUNK = 1 << 16
# Bytes read at most: no kernel file comes near this, so what does is damaged or not a kernel file.
LIMIT = 1 << 24
ABSENT = frozenset({ENOENT, ENOTDIR, ENODEV, ENXIO})


def read_bytes(path: str) -> bytes:
    """Read a whole file, at most LIMIT bytes; OSError is left to the caller."""
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
    # Imports ctypes, which costs memory, only when the clock is first read.
    from perfloop_exporter.collectors.adjtimex import read_clock

    return read_clock()


def _missing(*_: str) -> NoReturn:
    raise NoDataError("this operating system has no such call")


def _ethtool(device: str, request: bytes, spare: int) -> bytes:
    # Imports fcntl, which Windows does not have, only when a device is asked.
    from perfloop_exporter.collectors.ethtool_ioctl import ask_driver

    return ask_driver(device, request, spare)


# os.statvfs and os.uname do not exist on Windows.
STATVFS: Callable[[str], os.statvfs_result] = getattr(os, "statvfs", _missing)
UNAME: Callable[[], os.uname_result] = getattr(os, "uname", _missing)


def device_of(path: str) -> tuple[int, int]:
    """Return the major and minor number of the device that a path is on."""
    number = os.stat(path).st_dev  # noqa: PTH116  # the same family of calls as beside it
    return os.major(number), os.minor(number)


def read_once(path: str) -> bytes:
    """Read a file that one read returns whole: sysfs and cgroup attributes are at most a page."""
    descriptor = os.open(path, FLAGS)
    try:
        return os.read(descriptor, CHUNK)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Host:
    """Where the machine's files are mounted, and the system calls that have no file."""

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
    route_dump: Callable[[int, int], bytes] = netlink.route_dump
    adjtimex: Callable[[], Sequence[int]] = _adjtimex
    ethtool: Callable[[str, bytes, int], bytes] = _ethtool

    def read(self, path: str, errors: str = "replace") -> str:
        """Read a required file.

        Args:
            path: Where it is.
            errors: What to do with bytes that are not UTF-8; `surrogateescape` where a name in it leads to a file.

        Raises:
            NoDataError: The file or its device does not exist.
            CollectorError: It cannot be read for another reason.
        """
        try:
            return read_bytes(path).decode("utf-8", errors)
        except OSError as error:
            kind = NoDataError if error.errno in ABSENT else CollectorError
            raise kind(f"{path}: {error.strerror}") from error

    def read_proc(self, name: str, errors: str = "replace") -> str:
        """Read a required file below /proc, as `read` does."""
        return self.read(f"{self.proc}/{name}", errors)

    def read_net(self, name: str) -> str:
        """Read a required file below /proc/net.

        With --path.procfs it is read from PROCFS/1/net: PROCFS/net leads to the reader's own network namespace,
        which in a container is the container's.
        """
        if self.proc != "/proc":
            try:
                return self.read(f"{self.proc}/1/net/{name}")
            except CollectorError:
                return self.read(f"{self.proc}/net/{name}")
        return self.read(f"{self.proc}/net/{name}")

    def attribute(self, path: str) -> str | None:
        """Read a small file; return its stripped text, or None when it is missing or cannot be read now.

        Drivers return any errno for a device that is busy, asleep or has no value: it costs the attribute alone.
        """
        try:
            return read_once(path).decode("utf-8", "replace").strip()
        except OSError:
            return None

    def directories(self, path: str) -> list[str]:
        """Return the sorted names of the subdirectories; none when the directory does not exist."""
        try:
            with os.scandir(path) as found:
                return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))
        except OSError:
            return []

    def entries(self, path: str) -> list[str]:
        """Return the sorted names in a directory.

        Raises:
            NoDataError: The directory does not exist.
            CollectorError: It cannot be read.
        """
        try:
            with os.scandir(path) as found:
                return sorted(entry.name for entry in found)
        except OSError as error:
            kind = NoDataError if error.errno in ABSENT else CollectorError
            raise kind(f"{path}: {error.strerror}") from error


def lines_of(text: str) -> list[str]:
    """Return the lines of a file of the kernel.

    str.splitlines ends lines at a form feed, at U+2028 and more, which mount points and device names may have.
    """
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def columns_of(line: str) -> list[str]:
    """Return the columns of a line, which only spaces and tabs separate: a name may have any other character."""
    return [word for word in line.replace("\t", " ").split(" ") if word]


def whole(text: str, where: str, base: int = 10) -> int:
    """Parse an integer; `where` names the file in the CollectorError."""
    try:
        return int(text, base)
    except ValueError as error:
        raise CollectorError(f"{where}: '{text[:40]}' is not a whole number") from error


def decimal(text: str, where: str) -> float:
    """Parse a finite number; `where` names the file in the CollectorError."""
    try:
        value = float(text)
    except ValueError as error:
        raise CollectorError(f"{where}: '{text[:40]}' is not a number") from error
    if value - value != 0:
        raise CollectorError(f"{where}: '{text[:40]}' is not a finite number")
    return value
