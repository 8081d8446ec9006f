"""Every collector of macOS and Windows."""

from __future__ import annotations

from exporter.collectors import gpu, textfile, thresholds
from exporter.collectors.portable import boottime, clock, cpu, diskstats, filesystem, loadavg, meminfo, netdev, uname
from exporter.collectors.portable.process import ProcessCollector

SPECS = (
    boottime.SPEC,
    cpu.SPEC,
    diskstats.SPEC,
    filesystem.SPEC,
    gpu.SPEC,
    loadavg.SPEC,
    meminfo.SPEC,
    netdev.SPEC,
    textfile.SPEC,
    thresholds.SPEC,
    clock.SPEC,
    uname.SPEC,
)

__all__ = ["SPECS", "ProcessCollector"]
