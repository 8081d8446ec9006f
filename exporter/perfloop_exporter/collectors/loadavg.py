"""Load averages: /proc/loadavg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Reading, gauge, single
from perfloop_exporter.collectors.host import decimal
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

LOADS = (
    gauge("node_load1", "Load average over 1 minute."),
    gauge("node_load5", "Load average over 5 minutes."),
    gauge("node_load15", "Load average over 15 minutes."),
)


def parse_loads(text: str) -> list[float]:
    """Parse /proc/loadavg (proc_loadavg(5)).

    Returns:
        Tasks that run or wait, averaged over 1, 5 and 15 minutes.

    Raises:
        CollectorError: The text does not begin with three finite numbers.
    """
    words = text.split()
    if len(words) < len(LOADS):
        raise CollectorError(f"/proc/loadavg: '{text[:60]}' does not begin with three averages")
    return [decimal(word, "/proc/loadavg") for word in words[: len(LOADS)]]


class LoadavgCollector:
    """Exports the three load averages."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Reading]:
        """Return one gauge per average."""
        loads = parse_loads(self._host.read_proc("loadavg"))
        return [single(family, load) for family, load in zip(LOADS, loads, strict=True)]


SPEC = Spec("loadavg", LoadavgCollector, "load averages")
