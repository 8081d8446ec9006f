"""The system board: for each resource how much is used, how much waits for it, and what went wrong (USE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice, evenly
from perfloop_boards.limits import FIRST_WARNS, Limit, megabytes, percent, plain
from perfloop_boards.panels import About, lines, number, stacked
from perfloop_boards.queries import Query, chosen, rate, selector
from perfloop_boards.tables import bars

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

# `service` is on every other board the service that serves requests; here it is what the exporter's target is called.
MACHINE = ('service=~"$host_group"', *chosen("instance"))
OF = selector(*MACHINE)
REAL_DISK = 'device!~"(dm-|md|loop|ram|zram).*"'
REAL_NET = 'device!~"lo|(veth|docker|br-|cali|flannel).*"'
EACH = ("instance", "id")
NO_CONTAINER = "No container limits are visible: the exporter runs outside a container, or cannot read its cgroup."
THROTTLED = Limit(warning=0.25, critical=0.5)
NO_HOST = "No machine is monitored: is the exporter running?"
NO_PRESSURE = "No pressure (PSI) data for this selection. Needs kernel 4.20 or later with psi=1."


def _rate(metric: str, *matchers: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}{selector(*MACHINE, *matchers)}[$__rate_interval]))"


def _cpu_now(limits: Limits) -> AnyPanel:
    cpu = limits.signal("cpu_used_ratio")
    return number(
        About(
            "CPU used",
            f"The busiest machine. Good: under {percent(cpu.first)}. Above: find the process that uses it, then "
            "add cores.",
            "percentunit",
            "no host",
            decimals=0,
        ),
        Query(f"max(instance:node_cpu_used:ratio_rate1m{OF})"),
        cpu,
    )


def _memory_now(limits: Limits) -> AnyPanel:
    memory = limits.signal("memory_used_ratio")
    return number(
        About(
            "Memory used",
            f"Used = total minus available (MemAvailable). Good: under {percent(memory.first)}. Above: find the "
            "process that grows.",
            "percentunit",
            "no host",
            decimals=0,
        ),
        Query(f"max(instance:node_memory_used:ratio{OF})"),
        memory,
    )


def _load_now(limits: Limits) -> AnyPanel:
    load = limits.alert("LoadHigh")
    return number(
        About(
            "Load per CPU",
            f"Tasks that run or wait, per CPU. Good: under 1. Above {plain(load.first)}, tasks queue for the CPU.",
            "none",
            "no host",
            decimals=2,
        ),
        Query(f"max(instance:node_load1_per_cpu:ratio{OF})"),
        load,
    )


def _disk_now(limits: Limits) -> AnyPanel:
    disk = limits.signal("disk_io_bytes_per_second")
    return number(
        About(
            "Disk I/O",
            f"Read and written. Good: under {megabytes(disk.first)}. Above: find the process, and whether the "
            "data could be kept in memory.",
            "Bps",
            "no host",
            decimals=1,
        ),
        Query(f"max(instance:node_disk_io_bytes:rate1m{OF})"),
        disk,
    )


def _network_now(limits: Limits) -> AnyPanel:
    network = limits.signal("network_io_bytes_per_second")
    return number(
        About(
            "Network I/O",
            f"Received and sent. Good: under {megabytes(network.first)}. Above: compress, paginate, or move the "
            "data closer.",
            "Bps",
            "no host",
            decimals=1,
        ),
        Query(f"max(instance:node_network_io_bytes:rate1m{OF})"),
        network,
    )


def _fullest_now(limits: Limits) -> AnyPanel:
    filesystem = limits.alert("FilesystemNearlyFull")
    return number(
        About(
            "Filesystem used",
            f"The fullest filesystem. Good: under {percent(filesystem.first)}. Above {percent(filesystem.last)}, "
            "writes will soon fail: free or add space today.",
            "percentunit",
            "no host",
            decimals=0,
        ),
        Query(f"max(instance_mountpoint:node_filesystem_used:ratio{OF})"),
        filesystem,
    )


def _cpu_modes() -> AnyPanel:
    return stacked(
        About(
            "CPU time by mode",
            "CPUs in use, by mode. user: programs; system: the kernel on their behalf; iowait: idle, with I/O "
            "pending; steal: taken by other guests.",
            "none",
            NO_HOST,
        ),
        [
            Query(_rate("node_cpu_seconds_total", f'mode=~"{modes}"', by="service"), name, colour)
            for name, modes, colour in (
                ("user", "user|nice", colours.CPU),
                ("system", "system|irq|softirq", colours.NETWORK),
                ("iowait", "iowait", colours.DISK),
                ("steal", "steal", colours.ERRORS),
            )
        ],
    )


def _cpu_waiting(limits: Limits) -> AnyPanel:
    load = limits.alert("LoadHigh")
    return lines(
        About(
            "CPU saturation",
            "Load per CPU, and the share of time in which some task waited for a CPU (pressure). Good: load "
            "under 1, pressure near 0.",
            "none",
            NO_HOST,
        ),
        [
            Query(f"instance:node_load1_per_cpu:ratio{OF}", "load per CPU · {{instance}}", colours.CPU),
            Query(f"instance:node_cpu_pressure:rate1m{OF}", "pressure · {{instance}}", colours.SLOW),
        ],
        load,
    )


def _memory_parts() -> AnyPanel:
    return stacked(
        About(
            "Memory by use",
            "Used: programs. Cached: files, released on demand. Good: free and cached together above 20%.",
            "bytes",
            NO_HOST,
        ),
        [
            Query(
                f"sum(node_memory_MemTotal_bytes{OF}) - sum(node_memory_MemAvailable_bytes{OF})", "used", colours.MEMORY
            ),
            Query(
                f"sum(node_memory_MemAvailable_bytes{OF}) - sum(node_memory_MemFree_bytes{OF})",
                "cached",
                colours.VECTOR,
            ),
            Query(f"sum(node_memory_MemFree_bytes{OF})", "free", colours.OTHER),
        ],
    )


def _memory_waiting(limits: Limits) -> AnyPanel:
    pressure = limits.alert("MemoryPressure")
    return lines(
        About(
            "Memory pressure",
            f"Share of time in which some task waited for memory. Good: 0. Above {percent(pressure.first)}, the "
            "machine swaps or reclaims pages.",
            "percentunit",
            NO_PRESSURE,
        ),
        [Query(f"instance:node_memory_pressure:rate1m{OF}", "{{instance}}", colours.MEMORY)],
        pressure,
    )


def _disk_bytes(limits: Limits) -> AnyPanel:
    disk = limits.signal("disk_io_bytes_per_second")
    return lines(
        About(
            "Disk throughput",
            "Good: under the dashed line. Physical disks only, so that each byte counts once.",
            "Bps",
            NO_HOST,
        ),
        [
            Query(_rate("node_disk_read_bytes_total", REAL_DISK), "disk reads · {{instance}}", colours.VECTOR),
            Query(_rate("node_disk_written_bytes_total", REAL_DISK), "disk writes · {{instance}}", colours.DISK),
        ],
        disk,
    )


def _disk_busy(limits: Limits) -> AnyPanel:
    busy = limits.alert("DiskSaturated")
    return lines(
        About(
            "Disk busy time",
            f"Share of time with a request in progress. Good: under {percent(busy.first)}. A busy disk may still "
            "have capacity: see disk pressure.",
            "percentunit",
            NO_HOST,
        ),
        [Query(f"instance_device:node_disk_io_time_seconds:rate1m{selector(*MACHINE, REAL_DISK)}", "{{device}}")],
        busy,
    )


def _disk_waiting(limits: Limits) -> AnyPanel:
    pressure = limits.alert("MemoryPressure")
    return lines(
        About(
            "Disk pressure",
            f"Share of time in which some task waited for I/O. Good: under {percent(pressure.first)}. Above: read "
            "and write less, or use a faster disk.",
            "percentunit",
            NO_PRESSURE,
        ),
        [Query(f"instance:node_io_pressure:rate1m{OF}", "{{instance}}", colours.DISK)],
        pressure,
    )


def _network_bytes(limits: Limits) -> AnyPanel:
    network = limits.signal("network_io_bytes_per_second")
    return lines(
        About(
            "Network throughput",
            "Good: under the dashed line. Loopback and virtual devices are excluded.",
            "Bps",
            NO_HOST,
        ),
        [
            Query(_rate("node_network_receive_bytes_total", REAL_NET), "received · {{instance}}", colours.NETWORK),
            Query(_rate("node_network_transmit_bytes_total", REAL_NET), "sent · {{instance}}", colours.TRAFFIC),
        ],
        network,
    )


def _network_faults() -> AnyPanel:
    return lines(
        About(
            "Network drops and errors",
            "Packets per second. Good: 0. Drops: a full queue. Errors: cable, driver or virtual switch.",
            "pps",
            NO_HOST,
        ),
        [
            Query(f"instance:node_network_drops:rate1m{OF}", "packet drops · {{instance}}", colours.SLOW),
            Query(f"instance:node_network_errors:rate1m{OF}", "packet errors · {{instance}}", colours.ERRORS),
        ],
    )


def _filesystems(limits: Limits) -> AnyPanel:
    filesystem = limits.alert("FilesystemNearlyFull")
    return bars(
        About(
            "Filesystem usage",
            "Good: green. Orange: plan for more space. Red: writes will soon fail.",
            "percentunit",
            NO_HOST,
            decimals=0,
        ),
        Query(
            f"sort_desc(instance_mountpoint:node_filesystem_used:ratio{OF})",
            "{{instance}} · {{mountpoint}}",
            instant=True,
        ),
        filesystem,
    )


def _container_cpu() -> AnyPanel:
    return lines(
        About(
            "CPU by container",
            "CPUs used. A flat top means that the container reached its limit: see CPU throttling.",
            "none",
            NO_CONTAINER,
        ),
        [Query(rate("container_cpu_usage_seconds_total", *MACHINE, by=EACH), "{{id}} · {{instance}}")],
    )


def _container_throttling() -> AnyPanel:
    return lines(
        About(
            "CPU throttling by container",
            "Share of scheduling periods in which the CPU limit throttled a container. Good: 0. Above "
            f"{percent(THROTTLED.first)}, raise the limit.",
            "percentunit",
            "No container has a CPU limit.",
        ),
        [
            Query(
                f"{rate('container_cpu_cfs_throttled_periods_total', *MACHINE, by=EACH)}"
                f" / ({rate('container_cpu_cfs_periods_total', *MACHINE, by=EACH)} > 0)",
                "{{id}} · {{instance}}",
            )
        ],
        THROTTLED,
    )


def _container_memory(limits: Limits) -> AnyPanel:
    memory = limits.signal("memory_used_ratio")
    return lines(
        About(
            "Memory by container",
            f"Working set relative to the limit. Good: under {percent(memory.first)}. At 100%, the kernel kills "
            "a process in the container.",
            "percentunit",
            "No container has a memory limit.",
        ),
        [
            Query(
                f"sum by (instance, id) (container_memory_working_set_bytes{OF})"
                f" / (sum by (instance, id) (container_spec_memory_limit_bytes{OF}) > 0)",
                "{{id}} · {{instance}}",
            )
        ],
        memory,
    )


def _killed() -> AnyPanel:
    return lines(
        About(
            "Out-of-memory kills",
            "Processes that the kernel killed in five minutes for lack of memory. Good: 0. Each lost its work: "
            "raise the memory limit.",
            "none",
            NO_CONTAINER,
        ),
        [
            Query(
                f"sum by (instance) (increase(container_oom_events_total{OF}[5m]))", "in a container", colours.ERRORS
            ),
            Query(f"sum by (instance) (increase(node_vmstat_oom_kill{OF}[5m]))", "on the machine", colours.SLOW),
        ],
        FIRST_WARNS,
    )


def build(limits: Limits) -> Board:
    """The system board of a configuration."""
    cpu_modes = _cpu_modes()
    memory_parts = _memory_parts()
    disk_bytes = _disk_bytes(limits)
    network_bytes = _network_bytes(limits)
    return Board(
        uid="system",
        title="System",
        question="Is a resource full, does work wait for it, and did anything fail?",
        related=("overview", "llm", "stack"),
        variables=(
            choice("host_group", "Host group", "node_cpu_seconds_total", label_name="service"),
            choice("instance", "Instance", 'node_cpu_seconds_total{service=~"$host_group"}'),
        ),
        signals={
            "cpu_used_ratio": cpu_modes,
            "memory_used_ratio": memory_parts,
            "disk_io_bytes_per_second": disk_bytes,
            "network_io_bytes_per_second": network_bytes,
        },
        rows=(
            Row(
                4,
                evenly(
                    _cpu_now(limits),
                    _memory_now(limits),
                    _load_now(limits),
                    _disk_now(limits),
                    _network_now(limits),
                    _fullest_now(limits),
                ),
            ),
            Row(7, evenly(cpu_modes, _cpu_waiting(limits))),
            Row(7, evenly(memory_parts, _memory_waiting(limits))),
            Row(7, evenly(disk_bytes, _disk_busy(limits), _disk_waiting(limits))),
            Row(7, evenly(network_bytes, _network_faults(), _filesystems(limits))),
            Row(
                7,
                evenly(_container_cpu(), _container_throttling(), _container_memory(limits), _killed()),
                title="Containers",
            ),
        ),
    )
