"""How long the queue for the CPUs was, through psutil; on Windows psutil works it out itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.families import Reading, single
from perfloop_exporter.collectors.loadavg import LOADS
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


class LoadavgCollector:
    """Tells the three load averages."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """One gauge per average."""
        return [single(family, load) for family, load in zip(LOADS, psutil.getloadavg(), strict=True)]


SPEC = Spec("loadavg", LoadavgCollector, "load averages")
