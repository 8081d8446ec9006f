"""The flags of node_exporter 1.12.1 that this exporter does not have itself: a command line with them starts, too.

Source: `node_exporter --help-long`, and the flags that it hides. A flag whose collector is added here leaves this list
by itself: the command line declares only what it does not know already.
"""

from __future__ import annotations

# Every collector of node_exporter, on any operating system.
COLLECTORS = (
    *("arp", "bcache", "bcachefs", "bonding", "boottime", "btrfs", "buddyinfo", "cgroups", "conntrack", "cpu"),
    *("cpu_vulnerabilities", "cpufreq", "devstat", "diskstats", "dmi", "dmmultipath", "drbd", "drm", "edac"),
    *("entropy", "ethtool", "exec", "fibrechannel", "filefd", "filesystem", "hwmon", "infiniband", "interrupts"),
    *("ipvs", "kernel_hung", "ksmd", "lnstat", "loadavg", "logind", "mdadm", "meminfo", "meminfo_numa"),
    *("mountstats", "netclass", "netdev", "netisr", "netstat", "network_route", "nfs", "nfsd", "ntp", "nvme"),
    *("nvmesubsystem", "os", "partition", "pcidevice", "perf", "powersupplyclass", "pressure", "processes"),
    *("qdisc", "rapl", "runit", "schedstat", "selinux", "slabinfo", "sockstat", "softirqs", "softnet", "stat"),
    *("supervisord", "swap", "sysctl", "systemd", "tapestats", "tcpstat", "textfile", "thermal", "thermal_zone"),
    *("time", "timex", "udp_queues", "uname", "vmstat", "watchdog", "wifi", "xfrm", "xfs", "zfs", "zoneinfo"),
)
# Options of collectors: switches, and those with a value. stat-workers bounds threads that this exporter does not have.
SWITCHES = tuple(
    f"--collector.{name}"
    for name in (
        *("bcache.priorityStats", "interrupts.include-zeros", "ntp.server-is-local", "pcidevice.names"),
        *("perf.disable-hardware-profilers", "perf.disable-software-profilers", "perf.disable-cache-profilers"),
        *("rapl.enable-zone-label", "systemd.private", "systemd.enable-task-metrics"),
        *("systemd.enable-restarts-metrics", "systemd.enable-start-time-metrics"),
    )
)
VALUES = (
    *(
        f"--collector.{name}"
        for name in (
            *("ethtool.device-include", "ethtool.device-exclude", "ethtool.metrics-include", "filesystem.stat-workers"),
            *("infiniband.device-include", "infiniband.device-exclude", "interrupts.name-include"),
            *("interrupts.name-exclude", "ipvs.backend-labels", "ntp.server", "ntp.server-port"),
            *("ntp.protocol-version", "ntp.ip-ttl", "ntp.max-distance", "ntp.local-offset-tolerance"),
            *("pcidevice.idsfile", "perf.cpus", "perf.tracepoint", "perf.hardware-profilers"),
            *("perf.software-profilers", "perf.cache-profilers", "powersupply.ignored-supplies", "qdisc.fixtures"),
            *("qdisc.device-include", "qdisc.device-exclude", "qdisk.device-include", "qdisk.device-exclude"),
            *("runit.servicedir", "slabinfo.slabs-include", "slabinfo.slabs-exclude", "supervisord.url"),
            *("sysctl.include", "sysctl.include-info", "systemd.unit-include", "systemd.unit-exclude"),
            *("systemd.unit-whitelist", "systemd.unit-blacklist", "tapestats.ignored-devices", "wifi.fixtures"),
        )
    ),
    "--runtime.gomaxprocs",
)
# Former names of options, by the collector and the option that they are called now.
FORMER = {
    "--collector.diskstats.ignored-devices": ("diskstats", "device-exclude"),
    "--collector.filesystem.ignored-mount-points": ("filesystem", "mount-points-exclude"),
    "--collector.filesystem.ignored-fs-types": ("filesystem", "fs-types-exclude"),
    "--collector.netdev.device-whitelist": ("netdev", "device-include"),
    "--collector.netdev.device-blacklist": ("netdev", "device-exclude"),
}
