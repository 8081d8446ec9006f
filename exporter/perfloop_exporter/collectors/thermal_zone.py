"""Thermal zones and cooling devices: /sys/class/thermal.

Source: kernel Documentation/ABI/testing/sysfs-class-thermal; temperatures are in millidegrees Celsius.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, Sample, gauge
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

TEMPERATURE = gauge("node_thermal_zone_temp", "Temperature of a zone in degrees Celsius.", "type", "zone")
STATE = gauge("node_cooling_device_cur_state", "How hard a device cools now.", "name", "type")
STATE_MAX = gauge("node_cooling_device_max_state", "How hard a device can cool.", "name", "type")
MILLIDEGREES = 1000


class ThermalZoneCollector:
    """Exports temperatures and cooling states; a zone that cannot be read now is left out."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host
        self._base = f"{host.sys}/class/thermal"

    def collect(self) -> list[Reading]:
        """Return one sample per zone and per cooling device."""
        temperatures: list[Sample] = []
        states: list[Sample] = []
        limits: list[Sample] = []
        for entry in self._host.entries(self._base):
            kind = self._host.attribute(f"{self._base}/{entry}/type") or ""
            if entry.startswith("thermal_zone"):
                degrees = self._number(entry, "temp")
                if degrees is not None:
                    temperatures.append(((kind, entry.removeprefix("thermal_zone")), degrees / MILLIDEGREES))
            elif entry.startswith("cooling_device"):
                name = entry.removeprefix("cooling_device")
                for samples, file in ((states, "cur_state"), (limits, "max_state")):
                    state = self._number(entry, file)
                    if state is not None:
                        samples.append(((name, kind), state))
        return [(TEMPERATURE, temperatures), (STATE, states), (STATE_MAX, limits)]

    def _number(self, entry: str, file: str) -> int | None:
        text = self._host.attribute(f"{self._base}/{entry}/{file}")
        return whole(text, f"{file} of {entry}") if text else None


SPEC = Spec("thermal_zone", ThermalZoneCollector, "temperatures and cooling")
