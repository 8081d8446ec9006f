"""What passed through each network device, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.netdev import column_family
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# psutil's field and the direction and column of the Linux collector.
FIELDS = {
    "bytes_recv": ("receive", "bytes"),
    "packets_recv": ("receive", "packets"),
    "errin": ("receive", "errs"),
    "dropin": ("receive", "drop"),
    "bytes_sent": ("transmit", "bytes"),
    "packets_sent": ("transmit", "packets"),
    "errout": ("transmit", "errs"),
    "dropout": ("transmit", "drop"),
}
FAMILIES = {field: column_family(*names) for field, names in FIELDS.items()}


class NetdevCollector:
    """Tells bytes, packets, errors and drops of each device."""

    def __init__(self, _host: Host, options: Options) -> None:
        self._filter = build_filter("netdev", "device", options)

    def collect(self) -> list[Reading]:
        """One counter per field, one sample per device."""
        found = psutil.net_io_counters(pernic=True)
        devices = {name: counts._asdict() for name, counts in found.items() if not self._filter.skips(name)}
        return [
            (family, [((name,), counts[field]) for name, counts in devices.items()])
            for field, family in FAMILIES.items()
        ]


SPEC = Spec("netdev", NetdevCollector, "traffic of network devices", filter_options("device", "network devices"))
