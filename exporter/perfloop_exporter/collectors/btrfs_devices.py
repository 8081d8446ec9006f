"""The devices of a mounted Btrfs and their errors, as the kernel reports them through ioctl(2): linux/btrfs.h."""

from __future__ import annotations

import os
import struct
from errno import ENODEV
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    Ioctl = Callable[[int, int, bytes], bytes]

FS_INFO, DEV_INFO, DEV_STATS = 0x8400941F, 0xD000941E, 0xC4089434
# struct btrfs_ioctl_fs_info_args: the highest number of a device, how many there are, the UUID of the filesystem.
FILESYSTEM = struct.Struct("=QQ16s992x")
# struct btrfs_ioctl_dev_info_args: number, UUID, bytes used and all bytes, unused, path.
DEVICE = struct.Struct("=Q16sQQ3032x1024s")
# struct btrfs_ioctl_get_dev_stats: number, how many values, flags, the values of ERRORS, unused.
STATISTICS = struct.Struct("=QQQ5Q968x")
ERRORS = ("write", "read", "flush", "corruption", "generation")
# No filesystem has this many devices; a number beyond it is not one of the kernel's.
MOST_DEVICES = 4096


class Device(NamedTuple):
    """One device of a filesystem: its name, UUID, sizes in bytes, and its errors since its statistics were reset."""

    name: str
    uuid: str
    size: int
    used: int
    errors: tuple[int, ...]


def _ioctl(descriptor: int, request: int, argument: bytes) -> bytes:
    import fcntl  # does not exist on Windows

    return fcntl.ioctl(descriptor, request, argument)


def read_devices(path: str, ioctl: Ioctl = _ioctl) -> tuple[str, list[Device]]:
    """Return the UUID of the filesystem that is mounted at a path, without dashes, and its devices.

    Raises:
        OSError: The path cannot be opened, or is not of a Btrfs.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        last, count, uuid = FILESYSTEM.unpack(ioctl(descriptor, FS_INFO, bytes(FILESYSTEM.size)))
        devices: list[Device] = []
        # Numbers have gaps where devices were removed.
        for number in range(min(last, MOST_DEVICES) + 1):
            if len(devices) == count:
                break
            try:
                devices.append(_read_device(descriptor, number, ioctl))
            except OSError as error:
                if error.errno != ENODEV:
                    raise
        return uuid.hex(), devices
    finally:
        os.close(descriptor)


def _read_device(descriptor: int, number: int, ioctl: Ioctl) -> Device:
    asked = DEVICE.pack(number, b"", 0, 0, b"")
    _, uuid, used, size, path = DEVICE.unpack(ioctl(descriptor, DEV_INFO, asked))
    answer = STATISTICS.unpack(
        ioctl(descriptor, DEV_STATS, STATISTICS.pack(number, len(ERRORS), 0, *[0] * len(ERRORS)))
    )
    name = path.partition(b"\0")[0].rpartition(b"/")[2].decode("utf-8", "surrogateescape")
    return Device(name, uuid.hex(), size, used, answer[3:])
