"""What each disk did, through psutil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from perfloop_exporter.collectors.diskstats import COLUMNS, MILLISECONDS
from perfloop_exporter.collectors.spec import Spec, build_filter, filter_options

if TYPE_CHECKING:
    from perfloop_exporter.collectors.families import Reading
    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.spec import Options

# psutil's field and the family it is told under; times are milliseconds.
FIELDS = {
    "read_count": "node_disk_reads_completed_total",
    "read_bytes": "node_disk_read_bytes_total",
    "read_time": "node_disk_read_time_seconds_total",
    "write_count": "node_disk_writes_completed_total",
    "write_bytes": "node_disk_written_bytes_total",
    "write_time": "node_disk_write_time_seconds_total",
    "busy_time": "node_disk_io_time_seconds_total",
}
FAMILIES = {family.name: family for family, _, _ in COLUMNS}


class DiskstatsCollector:
    """Tells operations, bytes and times of each disk."""

    def __init__(self, _host: Host, options: Options) -> None:
        self._filter = build_filter("diskstats", "device", options)

    def collect(self) -> list[Reading]:
        """One family per field, one sample per disk that has it."""
        found = psutil.disk_io_counters(perdisk=True) or {}
        disks = {name: counts._asdict() for name, counts in found.items() if not self._filter.skips(name)}
        return [
            (
                FAMILIES[name],
                [
                    ((disk,), counts[field] / MILLISECONDS if field.endswith("_time") else counts[field])
                    for disk, counts in disks.items()
                    if field in counts
                ],
            )
            for field, name in FIELDS.items()
        ]


SPEC = Spec("diskstats", DiskstatsCollector, "I/O of disks", filter_options("device", "block devices"))
