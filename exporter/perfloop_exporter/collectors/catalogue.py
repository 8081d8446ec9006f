"""Every collector of this operating system, in the order in which a scrape runs them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.platform == "linux":
    from perfloop_exporter.collectors import (
        arp,
        bonding,
        cgroup,
        clock,
        conntrack,
        cpu,
        cpufreq,
        diskstats,
        edac,
        entropy,
        filefd,
        filesystem,
        gpu,
        hwmon,
        loadavg,
        mdadm,
        meminfo,
        netclass,
        netdev,
        netstat,
        nfs,
        nfsd,
        nvme,
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
        bonding.SPEC,
        cgroup.SPEC,
        clock.SPEC,
        conntrack.SPEC,
        cpu.SPEC,
        cpufreq.SPEC,
        diskstats.SPEC,
        edac.SPEC,
        entropy.SPEC,
        filefd.SPEC,
        filesystem.SPEC,
        gpu.SPEC,
        hwmon.SPEC,
        loadavg.SPEC,
        mdadm.SPEC,
        meminfo.SPEC,
        netclass.SPEC,
        netdev.SPEC,
        netstat.SPEC,
        nfs.SPEC,
        nfsd.SPEC,
        nvme.SPEC,
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
