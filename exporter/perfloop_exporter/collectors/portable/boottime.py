"""When the machine booted, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.families import Reading, single
from perfloop_exporter.collectors.proc_stat import FAMILIES
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


class BoottimeCollector:
    """Tells the boot time."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """One gauge."""
        return [single(FAMILIES["btime"], psutil.boot_time())]


SPEC = Spec("boottime", BoottimeCollector, "boot time")
