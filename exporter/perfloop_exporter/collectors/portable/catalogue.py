"""Every collector of macOS and Windows."""

from __future__ import annotations

from perfloop_exporter.collectors import gpu, textfile, thresholds
from perfloop_exporter.collectors.portable import (
    boottime,
    clock,
    cpu,
    diskstats,
    filesystem,
    loadavg,
    meminfo,
    netdev,
    uname,
)
from perfloop_exporter.collectors.portable.process import ProcessCollector

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
