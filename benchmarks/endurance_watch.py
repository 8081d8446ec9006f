"""What the endurance run watches: of each part its memory, descriptors, threads, files and series, and their growth.

Growth is what is left when noise is taken out: the difference of two medians, of the first and of the last quarter of
the samples after the warm-up, scaled to the whole time between the first and the last of them. A leak grows as long as
the work goes on; a cache that fills or a heap that settles does not.
"""

from __future__ import annotations

import statistics
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MIB = 1024**2
# The share of the samples that is warm-up: imports, pools and caches that fill once.
WARM_UP = 0.35
KINDS = ("memory", "descriptors", "threads", "files", "series")
# What may be left after the medians, for the noise of a process that does work: of memory the larger one.
MEMORY_BAR_BYTES, MEMORY_BAR_RATIO = 6 * MIB, 0.06
BARS = {"descriptors": 4.0, "threads": 2.0, "files": 3.0, "series": 12.0}


@dataclass(slots=True)
class Part:
    """One part, and what was seen of it.

    Attributes:
        process: returns the process that is the part now, or None while there is none.
        metrics_url: where its own metrics are; empty for a part that has none.
        directories: where it keeps its files.
        judged: whether its growth has bars; the others are shown for comparison.
        most_series: what its series may reach, where their number follows what it finds; None where it is constant.
    """

    name: str
    process: Callable[[], psutil.Process | None]
    metrics_url: str = ""
    directories: tuple[Path, ...] = ()
    judged: bool = True
    most_series: int | None = None
    samples: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    identities: set[tuple[int, float]] = field(default_factory=set)

    def sample(self) -> None:
        """Look at the part once; a process that was replaced begins its memory, descriptors and threads again."""
        process = self.process()
        if process is None:
            return
        try:
            identity = (process.pid, process.create_time())
            seen = process.memory_info().rss, process.num_fds(), process.num_threads()
        except psutil.Error:
            return
        if self.identities and identity not in self.identities:
            for kind in KINDS[:3]:
                self.samples[kind].clear()
        self.identities.add(identity)
        for kind, value in zip(KINDS, seen, strict=False):
            self.samples[kind].append(float(value))
        if self.directories:
            self.samples["files"].append(float(sum(map(count_files, self.directories))))
        if self.metrics_url and (series := count_series(self.metrics_url)) is not None:
            self.samples["series"].append(float(series))


@dataclass(frozen=True, slots=True)
class Growth:
    """What a part had at first and at last after its warm-up, what it grew by, and what it may grow by."""

    part: str
    kind: str
    first: float
    last: float
    growth: float
    bar: float | None

    @property
    def exceeds(self) -> bool:
        """Whether the part grew by more than its bar."""
        return self.bar is not None and self.growth > self.bar


def count_files(directory: Path) -> int:
    """Return how many files are below a directory."""
    return sum(1 for path in directory.rglob("*") if path.is_file())


def count_series(url: str) -> int | None:
    """Return how many series a part publishes, or None while it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return sum(1 for line in answer.read().splitlines() if line and not line.startswith(b"#"))
    except OSError:
        return None


def measure_growth(part: Part) -> Iterable[Growth]:
    """Yield the growth of everything that was seen of a part often enough."""
    for kind in KINDS:
        samples = part.samples[kind][int(len(part.samples[kind]) * WARM_UP) :]
        if len(samples) < 8:
            continue
        quarter = len(samples) // 4
        first, last = statistics.median(samples[:quarter]), statistics.median(samples[-quarter:])
        # The medians are three quarters of the time apart.
        growth = (last - first) / 0.75
        yield Growth(part.name, kind, first, last, growth, find_bar(part, kind, first) if part.judged else None)


def find_bar(part: Part, kind: str, first: float) -> float:
    """Return by how much something may have grown at the end."""
    if kind == "series" and part.most_series is not None:
        return part.most_series - first
    return max(MEMORY_BAR_BYTES, MEMORY_BAR_RATIO * first) if kind == "memory" else BARS[kind]


def watch(parts: list[Part], interval_seconds: float, until: Callable[[], bool]) -> None:
    """Sample every part until it is over."""
    while not until():
        due = time.monotonic() + interval_seconds
        for part in parts:
            part.sample()
        time.sleep(max(0.0, due - time.monotonic()))
