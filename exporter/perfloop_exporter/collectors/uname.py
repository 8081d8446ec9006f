"""Kernel and machine: uname(2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, gauge
from perfloop_exporter.collectors.spec import Spec

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

INFO = gauge(
    "node_uname_info",
    "The kernel and the machine; always 1.",
    *("domainname", "machine", "nodename", "release", "sysname", "version"),
)
# The kernel's text for a NIS domain that is not set.
NO_DOMAIN = "(none)"


class UnameCollector:
    """Exports the fields of uname(2)."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """Return one sample with everything in its labels."""
        name = self._host.uname()
        # os.uname() has no NIS domain name.
        domain = self._host.attribute(f"{self._host.proc}/sys/kernel/domainname") or NO_DOMAIN
        return [(INFO, [((domain, name.machine, name.nodename, name.release, name.sysname, name.version), 1)])]


SPEC = Spec("uname", UnameCollector, "kernel and machine")
