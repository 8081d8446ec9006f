"""Which CPUs there are, which are on, and which were slowed for their heat: /sys/devices/system/cpu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, Reading, Sample, counter, gauge
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.errors import CollectorError, NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host

ONLINE = gauge("node_cpu_online", "Whether a CPU is switched on.", "cpu")
ISOLATED = gauge("node_cpu_isolated", "A CPU that the scheduler keeps free; always 1.", "cpu")
CORE_THROTTLES = counter("node_cpu_core_throttles_total", "Times a core was slowed for its heat.", "core", "package")
PACKAGE_THROTTLES = counter("node_cpu_package_throttles_total", "Times a package was slowed for its heat.", "package")

BASE = "devices/system/cpu"


def parse_range(text: str) -> list[str]:
    """The numbers of a list such as `0,2-4`."""
    numbers: list[str] = []
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        where = f"{BASE}: list of CPUs"
        begin, end = whole(first, where), whole(last, where) if dash else whole(first, where)
        if not 0 <= begin <= end < 1 << 16:
            raise CollectorError(f"{where}: '{part[:40]}' is not a range of CPUs")
        numbers.extend(map(str, range(begin, end + 1)))
    return numbers


class Topology:
    """Reads what is told per CPU, core and package; where a core sits is read once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._base = f"{host.sys}/{BASE}"
        self._places: dict[str, tuple[str, str] | None] = {}

    def readings(self, cpus: list[str]) -> list[Reading]:
        """What /sys tells of the CPUs; a virtual machine's often tells nothing."""
        return [*self._throttles(cpus), (ISOLATED, self._isolated()), (ONLINE, self._online())]

    def _isolated(self) -> list[Sample]:
        return [((cpu,), 1) for cpu in parse_range(self._host.attribute(f"{self._base}/isolated") or "")]

    def _online(self) -> list[Sample]:
        # Where the first CPU cannot be switched off it has no such file, and node_exporter tells of none.
        if self._host.attribute(f"{self._base}/cpu0/online") is None:
            return []
        try:
            names = self._host.entries(self._base)
        except NoDataError:
            return []
        cpus = [name.removeprefix("cpu") for name in names if name.startswith("cpu") and name[3:].isdigit()]
        return [((cpu,), int(self._host.attribute(f"{self._base}/cpu{cpu}/online") == "1")) for cpu in cpus]

    def _throttles(self, cpus: list[str]) -> list[Reading]:
        counts: dict[Family, dict[tuple[str, ...], int]] = {CORE_THROTTLES: {}, PACKAGE_THROTTLES: {}}
        for cpu in cpus:
            place = self._place(cpu)
            if place is None:
                continue
            core, package = place
            for family, labels, file in (
                (CORE_THROTTLES, (core, package), "core_throttle_count"),
                (PACKAGE_THROTTLES, (package,), "package_throttle_count"),
            ):
                if labels not in counts[family]:
                    text = self._host.attribute(f"{self._base}/cpu{cpu}/thermal_throttle/{file}")
                    if text:
                        counts[family][labels] = whole(text, file)
        return [(family, list(found.items())) for family, found in counts.items()]

    def _place(self, cpu: str) -> tuple[str, str] | None:
        if cpu not in self._places:
            folder = f"{self._base}/cpu{cpu}"
            core = self._host.attribute(f"{folder}/topology/core_id")
            package = self._host.attribute(f"{folder}/topology/physical_package_id")
            counted = self._host.attribute(f"{folder}/thermal_throttle/core_throttle_count") is not None
            self._places[cpu] = (core, package) if core and package and counted else None
        return self._places[cpu]
