"""What the kernel says of this machine, read without the exporter: levels and counters of /proc, with the time."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

EVERY_SECONDS = 0.1
SECTOR_BYTES = 512
KIB = 1024
Reading = tuple[float, dict[str, float]]


def read_levels() -> dict[str, float]:
    """Return the levels of now."""
    memory = {
        name: float(value.split()[0]) * KIB
        for name, _, value in (line.partition(":") for line in _lines("meminfo"))
        if value.strip()
    }
    disk = os.statvfs("/")
    sockets = dict(zip(_words("net/sockstat", "TCP:")[::2], _words("net/sockstat", "TCP:")[1::2], strict=False))
    cpus = sum(line.startswith("processor") for line in _lines("cpuinfo"))
    return {
        "CPUs": cpus,
        "memory": memory["MemTotal"],
        "memory used": 1 - memory["MemAvailable"] / memory["MemTotal"],
        "dirty": memory["Dirty"],
        "committed": memory["Committed_AS"] / memory["CommitLimit"],
        "load": float(_lines("loadavg")[0].split()[0]) / cpus,
        "load 15": float(_lines("loadavg")[0].split()[2]),
        "uptime": float(_lines("uptime")[0].split()[0]),
        "disk used": 1 - disk.f_bavail / disk.f_blocks,
        "inodes used": 1 - disk.f_ffree / disk.f_files,
        "processes": sum(path.name.isdigit() for path in Path("/proc").iterdir())
        / float(_lines("sys/kernel/pid_max")[0]),
        "TCP": float(sockets["inuse"]),
    }


def read_counters() -> dict[str, float]:
    """Return the counters of now."""
    cpu = [float(word) for word in _words("stat", "cpu ")]
    disks = [line.split() for line in _lines("diskstats")]
    whole = [row for row in disks if Path("/sys/block", row[2]).exists() and not row[2].startswith(VIRTUAL_DISKS)]
    tcp = dict(zip(*(line.split() for line in _lines("net/snmp") if line.startswith("Tcp:")), strict=True))
    faults = dict(line.split() for line in _lines("vmstat"))
    return {
        "CPU busy": (sum(cpu[:8]) - cpu[3] - cpu[4]) / os.sysconf("SC_CLK_TCK"),
        "user": (cpu[0] + cpu[1]) / os.sysconf("SC_CLK_TCK"),
        "context switches": float(_words("stat", "ctxt")[0]),
        "interrupts": float(_words("stat", "intr")[0]),
        "forks": float(_words("stat", "processes")[0]),
        "disk writes": sum(float(row[7]) for row in whole),
        "disk bytes": sum(float(row[5]) + float(row[9]) for row in whole) * SECTOR_BYTES,
        "segments sent": float(tcp["OutSegs"]),
        "connections opened": float(tcp["ActiveOpens"]),
        "page faults": float(faults["pgfault"]),
    }


VIRTUAL_DISKS = ("dm-", "md", "loop", "ram", "zram")


def _lines(name: str) -> list[str]:
    return Path("/proc", name).read_text(encoding="utf-8").splitlines()


def _words(name: str, start: str) -> list[str]:
    return next(line for line in _lines(name) if line.startswith(start)).removeprefix(start).split()


@dataclass
class Watching:
    """Reads levels and counters again and again in the background, until it is left."""

    readings: list[Reading] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin."""
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._end.set()
        if self._thread:
            self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(EVERY_SECONDS):
            self.readings.append((time.time(), read_levels() | read_counters()))

    def lowest_and_highest(self, name: str, since: float, until: float) -> tuple[float, float]:
        """Return between which values a level was."""
        found = [values[name] for at, values in self.readings if since <= at <= until]
        return min(found), max(found)

    def at(self, name: str, moment: float) -> float:
        """Return a counter at a moment, between the readings before and after it."""
        before = max((reading for reading in self.readings if reading[0] <= moment), key=lambda reading: reading[0])
        after = min((reading for reading in self.readings if reading[0] >= moment), key=lambda reading: reading[0])
        if after[0] == before[0]:
            return before[1][name]
        part = (moment - before[0]) / (after[0] - before[0])
        return before[1][name] + part * (after[1][name] - before[1][name])
