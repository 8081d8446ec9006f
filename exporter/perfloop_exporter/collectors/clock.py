"""System time, time zone and clock sources: clock_gettime(2), /sys/devices/system/clocksource."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, Sample, gauge, single
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

SECONDS = gauge("node_time_seconds", "The machine's clock, in unix time.")
ZONE = gauge("node_time_zone_offset_seconds", "How far the local time is ahead of UTC.", "time_zone")
AVAILABLE = gauge(
    "node_time_clocksource_available_info", "A clock source that could be used; always 1.", "clocksource", "device"
)
CURRENT = gauge("node_time_clocksource_current_info", "The clock source in use; always 1.", "clocksource", "device")

SOURCES = "devices/system/clocksource"


class TimeCollector:
    """Exports the system time, the time zone and the clock sources."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """Return the time at the moment of this call, in seconds."""
        now = self._host.now()
        zone = time.localtime(now)
        available, current = self._sources()
        return [
            single(SECONDS, now),
            (ZONE, [((zone.tm_zone,), zone.tm_gmtoff)]),
            (AVAILABLE, available),
            (CURRENT, current),
        ]

    def _sources(self) -> tuple[list[Sample], list[Sample]]:
        available: list[Sample] = []
        current: list[Sample] = []
        base = f"{self._host.sys}/{SOURCES}"
        try:
            entries = self._host.entries(base)
        except CollectorError:  # not every kernel has sources to choose from, and the time is known without
            return available, current
        for entry in entries:
            device = entry.removeprefix("clocksource")
            if device == entry:
                continue
            names = self._host.attribute(f"{base}/{entry}/available_clocksource") or ""
            available.extend(((name, device), 1) for name in names.split())
            name = self._host.attribute(f"{base}/{entry}/current_clocksource")
            if name:
                current.append(((name, device), 1))
        return available, current


SPEC = Spec("time", TimeCollector, "clock, time zone and clock sources")
