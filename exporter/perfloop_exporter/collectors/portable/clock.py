"""What time the machine thinks it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.clock import SECONDS, ZONE
from perfloop_exporter.collectors.families import Reading, single
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


class TimeCollector:
    """Tells clock and zone."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """The time as it is when this is read."""
        now = self._host.now()
        zone = time.localtime(now)
        return [single(SECONDS, now), (ZONE, [((zone.tm_zone,), zone.tm_gmtoff)])]


SPEC = Spec("time", TimeCollector, "clock and time zone")
