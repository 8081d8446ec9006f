"""Thermal zones and cooling devices: /sys/class/thermal.

Source: kernel Documentation/ABI/testing/sysfs-class-thermal; temperatures are in millidegrees Celsius.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Sample, gauge
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item
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

    def collect(self) -> list[Item]:
        """Return one sample per zone and per cooling device."""
        losses = Losses()
        entries = self._host.entries(self._base)
        zones = [entry for entry in entries if entry.startswith("thermal_zone")]
        coolers = [entry for entry in entries if entry.startswith("cooling_device")]
        temperatures: list[Sample] = [
            ((self._type(zone), zone.removeprefix("thermal_zone")), degrees / MILLIDEGREES)
            for zone in zones
            if (degrees := self._number(zone, "temp", losses)) is not None
        ]
        return losses.settle(
            [
                (TEMPERATURE, temperatures),
                (STATE, self._states(coolers, "cur_state", losses)),
                (STATE_MAX, self._states(coolers, "max_state", losses)),
            ]
        )

    def _states(self, coolers: list[str], file: str, losses: Losses) -> list[Sample]:
        return [
            ((cooler.removeprefix("cooling_device"), self._type(cooler)), state)
            for cooler in coolers
            if (state := self._number(cooler, file, losses)) is not None
        ]

    def _type(self, entry: str) -> str:
        return self._host.attribute(f"{self._base}/{entry}/type") or ""

    def _number(self, entry: str, file: str, losses: Losses) -> int | None:
        text = self._host.attribute(f"{self._base}/{entry}/{file}")
        with losses:
            return whole(text, f"{file} of {entry}") if text else None
        return None


SPEC = Spec("thermal_zone", ThermalZoneCollector, "temperatures and cooling")
