"""Every collector of this operating system, in the order in which a scrape runs them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.platform == "linux":
    from perfloop_exporter.collectors import (
        arp,
        cgroup,
        clock,
        conntrack,
        cpu,
        cpufreq,
        diskstats,
        entropy,
        filefd,
        filesystem,
        gpu,
        hwmon,
        loadavg,
        meminfo,
        netclass,
        netdev,
        netstat,
        os_release,
        pressure,
        proc_stat,
        processes,
        schedstat,
        sockstat,
        softnet,
        swap,
        tcpstat,
        textfile,
        thermal_zone,
        thresholds,
        timex,
        udp_queues,
        uname,
        vmstat,
    )
    from perfloop_exporter.collectors.process import ProcessCollector

    SPECS: tuple[Spec, ...] = (
        arp.SPEC,
        cgroup.SPEC,
        clock.SPEC,
        conntrack.SPEC,
        cpu.SPEC,
        cpufreq.SPEC,
        diskstats.SPEC,
        entropy.SPEC,
        filefd.SPEC,
        filesystem.SPEC,
        gpu.SPEC,
        hwmon.SPEC,
        loadavg.SPEC,
        meminfo.SPEC,
        netclass.SPEC,
        netdev.SPEC,
        netstat.SPEC,
        os_release.SPEC,
        pressure.SPEC,
        proc_stat.SPEC,
        processes.SPEC,
        schedstat.SPEC,
        sockstat.SPEC,
        softnet.SPEC,
        swap.SPEC,
        tcpstat.SPEC,
        textfile.SPEC,
        thermal_zone.SPEC,
        thresholds.SPEC,
        timex.SPEC,
        udp_queues.SPEC,
        uname.SPEC,
        vmstat.SPEC,
    )
else:
    from perfloop_exporter.collectors.portable import SPECS, ProcessCollector

if TYPE_CHECKING:
    from perfloop_exporter.collectors.spec import Spec

__all__ = ["SPECS", "ProcessCollector"]
