"""What each CPU spent its time on: /proc/stat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.cpu_info import read_info
from perfloop_exporter.collectors.cpu_topology import Topology
from perfloop_exporter.collectors.families import Reading, Sample, counter
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

SECONDS = counter("node_cpu_seconds_total", "Seconds each CPU spent in each mode.", "cpu", "mode")
GUEST = counter(
    "node_cpu_guest_seconds_total",
    "Seconds each CPU spent running guests, counted in user and nice too.",
    "cpu",
    "mode",
)

# The order of the columns of a cpu line, proc_stat(5).
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
GUEST_MODES = ("user", "nice")
IDLE = MODES.index("idle")
# An idle counter that falls by more than this was reset by a hotplug; smaller steps back are kernel jitter.
RESET_SECONDS = 3


def parse_cpus(text: str) -> dict[str, list[int]]:
    """The ticks of each CPU by its number, guest columns last; old kernels have fewer columns."""
    cpus: dict[str, list[int]] = {}
    for line in text.splitlines():
        if not line.startswith("cpu"):
            break
        name, *columns = line.split()
        if name != "cpu":
            cpus[str(whole(name[3:], "/proc/stat: number of a cpu"))] = [
                whole(column, "/proc/stat") for column in columns[: len(MODES) + len(GUEST_MODES)]
            ]
    if not cpus:
        raise CollectorError("/proc/stat has no line for any cpu")
    return cpus


def settle(last: list[int], now: list[int], reset_ticks: int) -> list[int]:
    """The counters to tell: never lower than last told, unless the CPU was plugged in anew."""
    if len(last) != len(now) or (len(now) > IDLE and last[IDLE] - now[IDLE] >= reset_ticks):
        return now
    return [max(pair) for pair in zip(last, now, strict=True)]


class CpuCollector:
    """Tells the CPU times, guarded against counters that step back."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._guest = options.switch("guest")
        self._info = options.switch("info")
        self._topology = Topology(host)
        self._last: dict[str, list[int]] = {}

    def collect(self) -> list[Reading]:
        """The seconds by CPU and mode, then what /sys tells of the CPUs."""
        reset = RESET_SECONDS * self._host.clock_ticks
        self._last = {
            cpu: settle(self._last.get(cpu, []), ticks, reset)
            for cpu, ticks in parse_cpus(self._host.read_proc("stat")).items()
        }
        readings: list[Reading] = [(SECONDS, self._samples(0, MODES))]
        if self._guest:
            readings.append((GUEST, self._samples(len(MODES), GUEST_MODES)))
        if self._info:
            readings.append(read_info(self._host))
        return readings + self._topology.readings(list(self._last))

    def _samples(self, first: int, modes: tuple[str, ...]) -> list[Sample]:
        hertz = self._host.clock_ticks
        return [
            ((cpu, mode), tick / hertz)
            for cpu, ticks in self._last.items()
            for mode, tick in zip(modes, ticks[first:], strict=False)
        ]


SPEC = Spec(
    "cpu",
    CpuCollector,
    "CPU time by mode",
    (
        Option("guest", True, "tell node_cpu_guest_seconds_total"),  # noqa: FBT003  # a switch that is on
        Option("info", False, "tell node_cpu_info"),  # noqa: FBT003  # a switch that is off
    ),
)
