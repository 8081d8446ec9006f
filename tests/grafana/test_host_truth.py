"""The figures of System beside the kernel's own, within 5 %: read from /proc at the same time, without the exporter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.grafana.machines import WINDOW_SECONDS
from tests.grafana.proc import Watching
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.grafana.boards import Panel
    from tests.grafana.machines import Machines

pytestmark = [pytest.mark.xdist_group("hosts"), pytest.mark.timeout(600)]
NEAR = 0.05
# A scrape a second, and another for a machine that is busy.
OLDEST_SECONDS = 4
# The panel and the place of its query; the label by which one series of several is meant; the level of proc.py.
LEVELS = [
    ("CPUs", 0, {}, "CPUs"),
    ("Memory", 0, {}, "memory"),
    ("Memory used", 0, {}, "memory used"),
    ("Load per CPU", 0, {}, "load"),
    ("Load average", 2, {}, "load 15"),
    ("Uptime", 0, {}, "uptime"),
    ("Filesystem usage", 0, {"mountpoint": "/"}, "disk used"),
    ("Inodes used", 0, {"mountpoint": "/"}, "inodes used"),
    ("Committed memory", 0, {}, "committed"),
    ("Process and file limits used", 0, {}, "processes"),
    ("Sockets in use", 1, {}, "TCP"),
]
# The panel, the place of its query, the counter of proc.py.
RATES = [
    ("CPU time by mode", 0, "user"),
    ("Context switches, interrupts", 0, "context switches"),
    ("Context switches, interrupts", 1, "interrupts"),
    ("Processes started", 0, "forks"),
    ("Page faults", 1, "page faults"),
    ("TCP connections opened", 1, "connections opened"),
]


@dataclass(frozen=True)
class Figures:
    """What the board shows for this machine, and what the kernel said meanwhile."""

    machines: Machines
    panels: list[Panel]
    kernel: Watching

    def shown(self, title: str, position: int = 0, **labels: str) -> float:
        """Return the one value that a query of a panel has for this machine."""
        (panel,) = (panel for panel in self.panels if (panel.board, panel.title) == ("system", title))
        found = self.machines.ask(panel.expressions[position], self.machines.running)
        (one,) = (one for one in found if labels.items() <= one["metric"].items())
        return float(one["value"][1])

    def expected(self, name: str) -> float:
        """Return how fast the kernel's counter grew between the first and the last scrape of a rate's window."""
        own = f'node_boot_time_seconds{{instance="{self.machines.running}"}}[{WINDOW_SECONDS}s]'
        (scrapes,) = self.machines.ask(own)
        first, last = (float(scrapes["values"][place][0]) for place in (0, -1))
        return (self.kernel.at(name, last) - self.kernel.at(name, first)) / (last - first)


def near(value: float, expected: float) -> bool:
    """Whether a figure is within 5 % of the truth."""
    return abs(value - expected) <= NEAR * abs(expected)


@pytest.fixture(scope="module")
def figures(machines: Machines, panels: list[Panel]) -> Iterator[Figures]:
    """The board beside readings of /proc over more than a window."""
    with Watching() as kernel:
        begun = time.time()
        wait_for(lambda: time.time() - begun > WINDOW_SECONDS + OLDEST_SECONDS, "readings")
        yield Figures(machines, panels, kernel)


@pytest.mark.parametrize(("title", "position", "labels", "name"), LEVELS, ids=[f"{one[0]}-{one[3]}" for one in LEVELS])
def test_a_level_is_the_kernels(figures: Figures, title: str, position: int, labels: dict[str, str], name: str):
    """It lies where the kernel's own value was during the last scrapes."""

    def agrees() -> bool:
        value, now = figures.shown(title, position, **labels), time.time()
        low, high = figures.kernel.lowest_and_highest(name, now - OLDEST_SECONDS, now)
        return low * (1 - NEAR) <= value <= high * (1 + NEAR)

    wait_for(agrees, f"{title} to be what /proc says", seconds=60)


@pytest.mark.parametrize(("title", "position", "name"), RATES, ids=[one[2] for one in RATES])
def test_a_rate_is_the_kernels(figures: Figures, title: str, position: int, name: str):
    """Between the first and the last scrape of the window the kernel's own counter grew as fast."""
    wait_for(lambda: near(figures.shown(title, position), figures.expected(name)), f"{title} to be what /proc says", 90)


def test_what_is_written_and_computed_is_the_kernels(figures: Figures, tmp_path: Path):
    """While something is written, the bytes and the busy CPUs of the figures at the top agree, too."""

    def agrees() -> bool:
        (tmp_path / "file").write_bytes(b"x" * 4_000_000)
        busy = figures.shown("CPU used") * figures.shown("CPUs")
        written = figures.shown("Disk I/O")
        return near(busy, figures.expected("CPU busy")) and near(written, figures.expected("disk bytes"))

    wait_for(agrees, "CPU used and Disk I/O to be what /proc says", 90)
