"""Load averages: /proc/loadavg."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import gauge, single
from perfloop_exporter.collectors.host import decimal
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.spec import Spec
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Item, Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

LOADS = (
    gauge("node_load1", "Load average over 1 minute."),
    gauge("node_load5", "Load average over 5 minutes."),
    gauge("node_load15", "Load average over 15 minutes."),
)


def split_loads(text: str) -> list[str]:
    """Return the words of /proc/loadavg that are tasks that run or wait, averaged over 1, 5 and 15 minutes.

    Source: proc_loadavg(5).

    Raises:
        CollectorError: The text does not begin with three words.
    """
    words = text.split()
    if len(words) < len(LOADS):
        raise CollectorError(f"/proc/loadavg: '{text[:60]}' does not begin with three averages")
    return words[: len(LOADS)]


class LoadavgCollector:
    """Exports the three load averages."""

    def __init__(self, host: Host, _options: Options) -> None:
        self._host = host

    def collect(self) -> list[Item]:
        """Return one gauge per average."""
        losses = Losses()
        readings: list[Reading] = []
        for family, word in zip(LOADS, split_loads(self._host.read_proc("loadavg")), strict=True):
            with losses:
                readings.append(single(family, decimal(word, "/proc/loadavg")))
        return losses.settle(readings)


SPEC = Spec("loadavg", LoadavgCollector, "load averages")
