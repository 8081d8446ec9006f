"""The system collectors: one subject, one file. This tuple is the whole list of them."""

from __future__ import annotations

from exporter.collectors import cpu, diskstats, filesystem, loadavg, meminfo, netdev, thresholds

SPECS = (
    cpu.SPEC,
    diskstats.SPEC,
    filesystem.SPEC,
    loadavg.SPEC,
    meminfo.SPEC,
    netdev.SPEC,
    thresholds.SPEC,
)
