"""A server that does not respond costs only the metrics of its own mount."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors import filesystem
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.mount_watch import MountWatch, may_hang

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USAGE = os.statvfs_result((512, 512, 10, 5, 5, 7, 3, 3, 0, 255))
MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
25 22 0:40 / /mnt/nas rw - nfs4 nas:/export rw
"""


class Server:
    """statvfs of /mnt/nas blocks until `up` is set; every other mount returns immediately."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.calls = 0

    def statvfs(self, path: str) -> os.statvfs_result:
        """Return the usage of a mount."""
        if path == "/mnt/nas":
            self.calls += 1
            self.up.wait(90)
        return USAGE


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server that is down until the test ends."""
    server = Server()
    yield server
    server.up.set()


def test_a_dead_server_costs_its_own_mount_and_is_called_once(server: Server, tmp_path: Path) -> None:
    """The mount has a device_error, the others are exported; once the server responds the mount is, too."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "mountinfo").write_text(MOUNTS)
    host = Host(proc=str(tmp_path), statvfs=server.statvfs)
    collector = filesystem.SPEC.build(host, {"mount-timeout": "50ms"})
    begin = time.monotonic()

    errors = [dict(collector.collect())[filesystem.DEVICE_ERROR] for _ in range(5)]

    assert time.monotonic() - begin < 30
    assert server.calls == 1
    assert errors[-1] == [
        (("/dev/sda1", "/", "ext4", ""), 0),
        (("nas:/export", "/mnt/nas", "nfs4", "mountpoint timeout"), 1),
    ]
    server.up.set()
    end = time.monotonic() + 30
    while dict(collector.collect())[filesystem.DEVICE_ERROR][1][1] == 1 and time.monotonic() < end:
        time.sleep(0.02)
    assert len(dict(collector.collect())[filesystem.SIZE]) == 2


def test_an_error_of_the_call_is_raised() -> None:
    """A stale handle raises in the caller's thread."""

    def stale(_path: str) -> os.statvfs_result:
        raise OSError(116, "Stale file handle")

    with pytest.raises(OSError, match="Stale file handle"):
        MountWatch(stale, 5).ask("/mnt/nas")


@pytest.mark.parametrize(
    ("fstype", "expected"), [("nfs4", True), ("fuse.sshfs", True), ("ext4", False), ("tmpfs", False)]
)
def test_only_network_filesystems_may_hang(fstype: str, expected: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Local filesystems are read without a thread."""
    assert may_hang(fstype) is expected
