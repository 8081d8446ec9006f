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

MACHINE = chosen("service", "instance")
OF = selector(*MACHINE)
REAL_DISK = 'device!~"(dm-|md|loop|ram|zram).*"'
REAL_NET = 'device!~"lo|(veth|docker|br-|cali|flannel).*"'
EACH = ("instance", "id")
NO_CONTAINER = "The exporter sees no container limits here: it runs outside any, or without access to its cgroup."
HELD_BACK = Limit(warning=0.25, critical=0.5)
NO_HOST = "No machine is watched: is the exporter up?"


def _rate(metric: str, *matchers: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}{selector(*MACHINE, *matchers)}[$__rate_interval]))"


def _cpu_now(limits: Limits) -> AnyPanel:
    cpu = limits.signal("cpu_used_ratio")
    return number(
        About(
            "CPU used",
            f"The fullest machine. Good: under {percent(cpu.first)}. Above: see which work took it, then add cores.",
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
            f"What cannot be given to others. Good: under {percent(memory.first)}. Above: find the process that grows.",
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
            f"Tasks that run or wait, for each CPU. Good: under 1. Above {plain(load.first)} work queues for the CPU.",
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
            "Disk traffic",
            f"Good: under {megabytes(disk.first)}. Above: which process, and could it be kept in memory?",
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
            "Network traffic",
            f"In and out. Good: under {megabytes(network.first)}. Above: compress, page, or move the data nearer.",
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
            "Fullest disk",
            f"Good: under {percent(filesystem.first)}. Above {percent(filesystem.last)} writes soon fail: "
            "clean up or grow it today.",
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
            "What does the CPU do?",
            "CPUs at work by kind. user: programs; system: the kernel for them; steal: taken by other guests.",
            "none",
            NO_HOST,
        ),
        [
            Query(_rate("node_cpu_seconds_total", f'mode=~"{modes}"', by="service"), name, colour)
            for name, modes, colour in (
                ("user", "user|nice", colours.CPU),
                ("system", "system|irq|softirq", colours.NETWORK),
                ("waits for disk", "iowait", colours.DISK),
                ("steal", "steal", colours.ERRORS),
            )
        ],
    )


def _cpu_waiting(limits: Limits) -> AnyPanel:
    load = limits.alert("LoadHigh")
    return lines(
        About(
            "Does work wait for the CPU?",
            "Load per CPU, and the share of time in which some task waited for a CPU. Good: load under 1, pressure near 0.",
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
            "What is the memory used for?",
            "Used: programs. Cached: files, given back when asked for. Good: free and cached together above a fifth.",
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
            "Does work wait for memory?",
            "Share of time in which some task waited for memory. Good: 0. "
            f"Above {percent(pressure.first)} the machine swaps or hunts for pages.",
            "percentunit",
            "This kernel does not tell of pressure (PSI): it is older than 4.20, or started with psi=0.",
        ),
        [Query(f"instance:node_memory_pressure:rate1m{OF}", "{{instance}}", colours.MEMORY)],
        pressure,
    )


def _disk_bytes(limits: Limits) -> AnyPanel:
    disk = limits.signal("disk_io_bytes_per_second")
    return lines(
        About(
            "How much is read and written?",
            "Good: under the dashed line. Real disks only, each byte once.",
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
            "How busy is each disk?",
            f"Share of time with a request under way. Good: under {percent(busy.first)}. "
            "Always busy may still have room: see waiting.",
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
            "Does work wait for the disk?",
            "Share of time in which some task waited for input or output. "
            f"Good: under {percent(pressure.first)}. Above: write less.",
            "percentunit",
            "This kernel does not tell of pressure (PSI): it is older than 4.20, or started with psi=0.",
        ),
        [Query(f"instance:node_io_pressure:rate1m{OF}", "{{instance}}", colours.DISK)],
        pressure,
    )


def _network_bytes(limits: Limits) -> AnyPanel:
    network = limits.signal("network_io_bytes_per_second")
    return lines(
        About(
            "How much goes over the network?",
            "Good: under the dashed line. Loopback and virtual devices are left out.",
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
            "Does the network lose packets?",
            "Packets dropped or broken per second. Good: 0. Drops: a full queue. Errors: cable, driver or virtual switch.",
            "pps",
            NO_HOST,
        ),
        [
            Query(f"instance:node_network_drops:rate1m{OF}", "packets dropped · {{instance}}", colours.SLOW),
            Query(f"instance:node_network_errors:rate1m{OF}", "packets broken · {{instance}}", colours.ERRORS),
        ],
    )


def _filesystems(limits: Limits) -> AnyPanel:
    filesystem = limits.alert("FilesystemNearlyFull")
    return bars(
        About(
            "How full is each filesystem?",
            "Good: green. Orange: plan; red: writes soon fail.",
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
            "How much CPU do they take?",
            "CPUs in use by each. A line that is cut off flat has met its limit: see held back.",
            "none",
            NO_CONTAINER,
        ),
        [Query(rate("container_cpu_usage_seconds_total", *MACHINE, by=EACH), "{{id}} · {{instance}}")],
    )


def _container_held() -> AnyPanel:
    return lines(
        About(
            "Are they held back?",
            "Share of periods in which a container wanted more CPU than its limit. Good: 0. "
            f"Above {percent(HELD_BACK.first)}: raise the limit.",
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
        HELD_BACK,
    )


def _container_memory(limits: Limits) -> AnyPanel:
    memory = limits.signal("memory_used_ratio")
    return lines(
        About(
            "How full is their memory?",
            f"Working set of the limit. Good: under {percent(memory.first)}. "
            "At 100 % the kernel kills the largest process in it.",
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
            "Was anything killed for memory?",
            "Processes killed by the kernel in five minutes. Good: 0. Each is a request that broke off: raise the limit.",
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
        question="Is a machine full, does work wait for it, and did anything break?",
        related=("overview", "llm", "stack"),
        variables=(
            choice("service", "Service", "node_cpu_seconds_total"),
            choice("instance", "Instance", 'node_cpu_seconds_total{service=~"$service"}'),
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
                evenly(_container_cpu(), _container_held(), _container_memory(limits), _killed()),
                title="Containers",
            ),
        ),
    )
