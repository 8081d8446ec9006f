"""CPU time by mode, CPU properties, online state and thermal throttling: /proc/stat, /proc/cpuinfo, /sys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.cpu_info import Info
from perfloop_exporter.collectors.families import Family, Late, Reading, Sample, counter, gauge
from perfloop_exporter.collectors.host import columns_of, lines_of, whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

SECONDS = counter("node_cpu_seconds_total", "Seconds each CPU spent in each mode.", "cpu", "mode")
GUEST = counter(
    "node_cpu_guest_seconds_total",
    "Seconds each CPU spent running guests, counted in user and nice too.",
    "cpu",
    "mode",
)
ONLINE = gauge("node_cpu_online", "Whether a CPU is switched on.", "cpu")
ISOLATED = gauge("node_cpu_isolated", "A CPU that the scheduler keeps free; always 1.", "cpu")
CORE_THROTTLES = counter("node_cpu_core_throttles_total", "Times a core was slowed for its heat.", "core", "package")
PACKAGE_THROTTLES = counter("node_cpu_package_throttles_total", "Times a package was slowed for its heat.", "package")

TOPOLOGY = "devices/system/cpu"
# The order of the columns of a cpu line (proc_stat(5)).
MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
GUEST_MODES = ("user", "nice")
IDLE = MODES.index("idle")
# An idle counter that falls by more than this was reset by a hotplug; smaller steps back are kernel jitter.
RESET_SECONDS = 3


def parse_cpus(text: str, losses: Losses) -> dict[str, list[int]]:
    """Parse the cpu lines of /proc/stat (kernel: Documentation/filesystems/proc.rst, section 1.7).

    Returns:
        Ticks (1/USER_HZ s) of each CPU by its number, in the order of MODES, then guest time; old kernels have fewer.

    Raises:
        CollectorError: There is no such line. A malformed one costs its CPU.
    """
    cpus: dict[str, list[int]] = {}
    for line in lines_of(text):
        if not line.startswith("cpu"):
            continue
        name, *columns = columns_of(line)
        if name == "cpu":
            continue
        with losses:
            ticks = [whole(column, "/proc/stat") for column in columns[: len(MODES) + len(GUEST_MODES)]]
            cpus[str(whole(name[3:], "/proc/stat: number of a cpu"))] = ticks
    if not cpus and not losses.count:
        raise CollectorError("/proc/stat has no line for any cpu")
    return cpus


def settle(last: list[int], now: list[int], reset_ticks: int) -> list[int]:
    """Return counters that never fall, unless the CPU was reset by a hotplug.

    Args:
        last: Ticks returned for the scrape before.
        now: Ticks read now.
        reset_ticks: A fall of the idle counter by this much is a reset.
    """
    if len(last) != len(now) or (len(now) > IDLE and last[IDLE] - now[IDLE] >= reset_ticks):
        return now
    return [max(pair) for pair in zip(last, now, strict=True)]


def parse_range(text: str) -> list[str]:
    """Parse the kernel's list format for CPUs, such as `0,2-4` (kernel: Documentation/admin-guide/cputopology.rst).

    Raises:
        CollectorError: A part is not a number or a range.
    """
    numbers: list[str] = []
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        where = f"{TOPOLOGY}: list of CPUs"
        begin, end = whole(first, where), whole(last, where) if dash else whole(first, where)
        if not 0 <= begin <= end < 1 << 16:
            raise CollectorError(f"{where}: '{part[:40]}' is not a range of CPUs")
        numbers.extend(map(str, range(begin, end + 1)))
    return numbers


class Topology:
    """Reads online and isolated CPUs and throttling; the core and package of a CPU are read once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._base = f"{host.sys}/{TOPOLOGY}"
        self._places: dict[str, tuple[str, str] | None] = {}

    def readings(self, cpus: list[str], losses: Losses) -> list[Reading]:
        """Return the readings for these CPUs; virtual machines often have none of these files."""
        readings = self._throttles(cpus, losses)
        with losses:
            readings.append((ISOLATED, self._isolated()))
        with losses:
            readings.append((ONLINE, self._online()))
        return readings

    def _isolated(self) -> list[Sample]:
        return [((cpu,), 1) for cpu in parse_range(self._host.attribute(f"{self._base}/isolated") or "")]

    def _online(self) -> list[Sample]:
        # The first CPU has no such file where it cannot be switched off; node_exporter then exports no CPU at all.
        if self._host.attribute(f"{self._base}/cpu0/online") is None:
            return []
        try:
            names = self._host.entries(self._base)
        except NoDataError:
            return []
        cpus = [name.removeprefix("cpu") for name in names if name.startswith("cpu") and name[3:].isdigit()]
        return [((cpu,), int(self._host.attribute(f"{self._base}/cpu{cpu}/online") == "1")) for cpu in cpus]

    def _throttles(self, cpus: list[str], losses: Losses) -> list[Reading]:
        counts: dict[Family, dict[tuple[str, ...], int]] = {CORE_THROTTLES: {}, PACKAGE_THROTTLES: {}}
        for cpu in cpus:
            place = self._place(cpu)
            if place is None:
                continue
            core, package = place
            # The threads of a core, and the cores of a package, all have its count: it is read from the first.
            for family, labels, level in (
                (CORE_THROTTLES, (core, package), "core"),
                (PACKAGE_THROTTLES, (package,), "package"),
            ):
                if labels not in counts[family]:
                    with losses:
                        self._add_count(counts[family], labels, f"cpu{cpu}/thermal_throttle/{level}_throttle_count")
        return [(family, list(found.items())) for family, found in counts.items()]

    def _add_count(self, counts: dict[tuple[str, ...], int], labels: tuple[str, ...], file: str) -> None:
        text = self._host.attribute(f"{self._base}/{file}")
        if text:
            counts[labels] = whole(text, file)

    def _place(self, cpu: str) -> tuple[str, str] | None:
        if cpu not in self._places:
            directory = f"{self._base}/cpu{cpu}"
            core = self._host.attribute(f"{directory}/topology/core_id")
            package = self._host.attribute(f"{directory}/topology/physical_package_id")
            counted = os.path.isdir(f"{directory}/thermal_throttle")  # noqa: PTH112  # no path is built
            self._places[cpu] = (core, package) if core and package and counted else None
        return self._places[cpu]


class CpuCollector:
    """Exports the CPU times, guarded against counters that step back, and the CPUs' properties."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._guest = options.switch("guest")
        self._info = Info(options)
        self._topology = Topology(host)
        self._last: dict[str, list[int]] = {}

    def collect(self) -> list[Item]:
        """Return the seconds by CPU and mode, then the readings from /proc/cpuinfo and /sys."""
        losses = Losses()
        reset = RESET_SECONDS * self._host.clock_ticks
        with losses:
            found = parse_cpus(self._host.read_proc("stat"), losses)
            self._last = {cpu: settle(self._last.get(cpu, []), ticks, reset) for cpu, ticks in found.items()}
        readings: list[Reading] = [(SECONDS, self._samples(0, MODES))]
        if self._guest:
            readings.append((GUEST, self._samples(len(MODES), GUEST_MODES)))
        late: list[Late] = []
        with losses:
            for item in self._info.items(self._host):
                if isinstance(item, Late):
                    late.append(item)
                else:
                    readings.append(item)
        readings += self._topology.readings(list(self._last), losses)
        return [*losses.settle(readings), *late]

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
        Option("guest", True, "export node_cpu_guest_seconds_total"),  # noqa: FBT003  # a switch that is on
        Option("info", False, "export node_cpu_info"),  # noqa: FBT003  # a switch that is off
        Option("info.flags-include", "", "regular expression of CPU flags to export as node_cpu_flag_info"),
        Option("info.bugs-include", "", "regular expression of CPU bugs to export as node_cpu_bug_info"),
    ),
)
