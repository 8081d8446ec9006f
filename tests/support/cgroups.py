"""A real control group for a program under test, of whichever version the machine has."""

from __future__ import annotations

import contextlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 100_000
V1 = ("cpu", "cpuacct", "memory")


@dataclass(frozen=True)
class Group:
    """One group, below the root of the hierarchy.

    Attributes:
        name: Its path as the exporter shows it, without the first slash.
        directories: Where its files are, by controller.
    """

    name: str
    directories: dict[str, Path]

    @property
    def entries(self) -> list[Path]:
        """The files into which a process writes its number to become a member."""
        return [directory / "cgroup.procs" for directory in sorted(set(self.directories.values()))]

    def limit_cores(self, cores: float) -> None:
        """Set the CPU limit."""
        quota, directory = round(cores * PERIOD_MICROSECONDS), self.directories["cpu"]
        if (directory / "cpu.max").exists():
            (directory / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
        else:
            (directory / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (directory / "cpu.cfs_quota_us").write_text(str(quota))

    def limit_memory(self, size: float) -> None:
        """Set the memory limit in bytes."""
        directory = self.directories["memory"]
        name = "memory.max" if (directory / "memory.max").exists() else "memory.limit_in_bytes"
        (directory / name).write_text(str(round(size)))


@contextmanager
def control_group(name: str) -> Iterator[Group]:
    """Make a group and remove it at the end, when its processes have ended.

    Raises:
        OSError: This machine, or this user, cannot make one.
    """
    is_second = (ROOT / "cgroup.controllers").exists()
    directories = {one: ROOT / name if is_second else ROOT / one / name for one in V1}
    if is_second:
        (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
    made = sorted(set(directories.values()))
    try:
        for directory in made:
            directory.mkdir()
        yield Group(name, directories)
    finally:
        for directory in made:
            wait_for(lambda place=directory: _remove(place), f"{directory} to be empty")  # type: ignore[misc]


def _remove(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.rmdir()
    return not directory.exists()
