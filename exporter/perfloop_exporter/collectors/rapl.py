"""Energy that processors and memory use: /sys/class/powercap (kernel: Documentation/power/powercap/powercap.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from perfloop_exporter.collectors.families import counter, sanitize
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.seldom import seldom
from perfloop_exporter.collectors.spec import Option, Spec
from perfloop_exporter.collectors.sysfs import Numbers
from perfloop_exporter.errors import NoDataError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

LABELED = counter("node_rapl_joules_total", "Energy that a zone used.", "index", "path", "rapl_zone")
NUMBERED = re.compile(r"([^-]*)-([0-9]+)", re.ASCII)
MICROJOULES = 1_000_000


class Zone(NamedTuple):
    """One zone: its name without its number, its number among those of the same name, and its directory."""

    name: str
    number: int
    path: str


def split_name(name: str, known: dict[str, int]) -> tuple[str, int]:
    """Return name and number of a zone: `package-1` has its own, others are counted by their name.

    Args:
        name: What the kernel calls the zone.
        known: The next number by name; it is changed.
    """
    numbered = NUMBERED.fullmatch(name)
    base, index = (numbered[1], int(numbered[2])) if numbered else (name, known.get(name, 0))
    known[base] = index + 1
    return base, index


class RaplCollector:
    """Exports the energy of every zone that has a counter; the kernel lets only root read them."""

    def __init__(self, host: Host, options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/powercap"
        self._labeled = options.switch("enable-zone-label")

    def collect(self) -> list[Item]:
        """Return one counter per zone, in joules; it starts again at the end of its range.

        Raises:
            NoDataError: The machine has no zone, or none that may be read.
        """
        losses = Losses()
        numbers = Numbers(self._host, losses, ())
        for zone in self._zones():
            energy = numbers.read(f"{zone.path}/energy_uj")
            joules = None if energy is None else energy / MICROJOULES
            if self._labeled:
                numbers.add(LABELED, (str(zone.number), zone.path, zone.name), joules)
            else:
                # In the help, too: zones whose names differ in other characters are one metric.
                name = sanitize(zone.name)
                family = counter(
                    f"node_rapl_{name}_joules_total", f"Energy that the zone {name} used.", "index", "path"
                )
                numbers.add(family, (str(zone.number), zone.path), joules)
        readings = numbers.readings()
        if not readings and not losses.count:
            raise NoDataError(f"{self._base}: no energy counter that can be read")
        return losses.settle(readings)

    def _zones(self) -> list[Zone]:
        known: dict[str, int] = {}
        zones: list[Zone] = []
        for entry in self._host.entries(self._base):
            path = f"{self._base}/{entry}"
            # The kinds of zones are in the same directory, and have no name.
            name = self._host.attribute(f"{path}/name")
            if name:
                zones.append(Zone(*split_name(name, known), path))
        return zones


SPEC = Spec(
    "rapl",
    seldom(RaplCollector),
    "energy of processors and memory",
    (Option("enable-zone-label", False, "export the zones as labels of one metric"),),  # noqa: FBT003  # a default
)
