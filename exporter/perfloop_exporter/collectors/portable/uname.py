"""Which system runs on which machine."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.collectors.uname import INFO, NO_DOMAIN

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options


class UnameCollector:
    """Tells system, release and machine."""

    def __init__(self, _host: Host, _options: Options) -> None:
        """Need nothing."""

    def collect(self) -> list[Reading]:
        """One sample with everything in its labels."""
        name = platform.uname()
        return [(INFO, [((NO_DOMAIN, name.machine, name.node, name.release, name.system, name.version), 1)])]


SPEC = Spec("uname", UnameCollector, "system and machine")
