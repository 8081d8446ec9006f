"""The system board: for each resource how much is used, how much waits for it, and what went wrong (USE)."""

from __future__ import annotations

from perfloop_boards import colours
from perfloop_boards.board import Board, Row, choice
from perfloop_boards.containers import CONTAINER_CPU, CONTAINER_HELD, CONTAINER_MEMORY, KILLED
from perfloop_boards.limits import alert_limit, megabytes, percent, plain, signal_limit
from perfloop_boards.panels import About, lines, number, stacked
from perfloop_boards.queries import Query, chosen, selector
from perfloop_boards.tables import bars

MACHINE = chosen("service", "instance")
OF = selector(*MACHINE)
REAL_DISK = 'device!~"(dm-|md|loop|ram|zram).*"'
REAL_NET = 'device!~"lo|(veth|docker|br-|cali|flannel).*"'
NO_HOST = "No machine is watched: is the exporter up?"
CPU = signal_limit("cpu_used_ratio")
MEMORY = signal_limit("memory_used_ratio")
DISK = signal_limit("disk_io_bytes_per_second")
NETWORK = signal_limit("network_io_bytes_per_second")
LOAD = alert_limit("LoadHigh")
PRESSURE = alert_limit("MemoryPressure")  # of the disk too: a task that waits is one that waits
FILESYSTEM = alert_limit("FilesystemNearlyFull")
BUSY = alert_limit("DiskSaturated")


def _rate(metric: str, *matchers: str, by: str = "instance") -> str:
    return f"sum by ({by}) (rate({metric}{selector(*MACHINE, *matchers)}[$__rate_interval]))"


CPU_NOW = number(
    About(
        "CPU used",
        f"The fullest machine. Good: under {percent(CPU.warning)}. Above: see which work took it, then add cores.",
        "percentunit",
        "no host",
        decimals=0,
    ),
    Query(f"max(instance:node_cpu_used:ratio_rate1m{OF})"),
    CPU,
)
MEMORY_NOW = number(
    About(
        "Memory used",
        f"What cannot be given to others. Good: under {percent(MEMORY.warning)}. Above: find the process that grows.",
        "percentunit",
        "no host",
        decimals=0,
    ),
    Query(f"max(instance:node_memory_used:ratio{OF})"),
    MEMORY,
)
LOAD_NOW = number(
    About(
        "Load per CPU",
        f"Tasks that run or wait, for each CPU. Good: under 1. Above {plain(LOAD.warning)} work queues for the CPU.",
        "none",
        "no host",
        decimals=2,
    ),
    Query(f"max(instance:node_load1_per_cpu:ratio{OF})"),
    LOAD,
)
DISK_NOW = number(
    About(
        "Disk traffic",
        f"Good: under {megabytes(DISK.warning)}. Above: which process, and could it be kept in memory?",
        "Bps",
        "no host",
        decimals=1,
    ),
    Query(f"max(instance:node_disk_io_bytes:rate1m{OF})"),
    DISK,
)
NETWORK_NOW = number(
    About(
        "Network traffic",
        f"In and out. Good: under {megabytes(NETWORK.warning)}. Above: compress, page, or move the data nearer.",
        "Bps",
        "no host",
        decimals=1,
    ),
    Query(f"max(instance:node_network_io_bytes:rate1m{OF})"),
    NETWORK,
)
FULLEST_NOW = number(
    About(
        "Fullest disk",
        f"Good: under {percent(FILESYSTEM.warning)}. Above {percent(FILESYSTEM.critical)} writes soon fail: "
        "clean up or grow it today.",
        "percentunit",
        "no host",
        decimals=0,
    ),
    Query(f"max(instance_mountpoint:node_filesystem_used:ratio{OF})"),
    FILESYSTEM,
)
CPU_MODES = stacked(
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
CPU_WAITING = lines(
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
    LOAD,
)
MEMORY_PARTS = stacked(
    About(
        "What is the memory used for?",
        "Used: programs. Cached: files, given back when asked for. Good: free and cached together above a fifth.",
        "bytes",
        NO_HOST,
    ),
    [
        Query(f"sum(node_memory_MemTotal_bytes{OF}) - sum(node_memory_MemAvailable_bytes{OF})", "used", colours.MEMORY),
        Query(
            f"sum(node_memory_MemAvailable_bytes{OF}) - sum(node_memory_MemFree_bytes{OF})", "cached", colours.VECTOR
        ),
        Query(f"sum(node_memory_MemFree_bytes{OF})", "free", colours.OTHER),
    ],
)
MEMORY_WAITING = lines(
    About(
        "Does work wait for memory?",
        "Share of time in which some task waited for memory. Good: 0. "
        f"Above {percent(PRESSURE.warning)} the machine swaps or hunts for pages.",
        "percentunit",
        "This kernel does not tell of pressure (PSI): it is older than 4.20, or started with psi=0.",
    ),
    [Query(f"instance:node_memory_pressure:rate1m{OF}", "{{instance}}", colours.MEMORY)],
    PRESSURE,
)
DISK_BYTES = lines(
    About(
        "How much is read and written?", "Good: under the dashed line. Real disks only, each byte once.", "Bps", NO_HOST
    ),
    [
        Query(_rate("node_disk_read_bytes_total", REAL_DISK), "disk reads · {{instance}}", colours.VECTOR),
        Query(_rate("node_disk_written_bytes_total", REAL_DISK), "disk writes · {{instance}}", colours.DISK),
    ],
    DISK,
)
DISK_BUSY = lines(
    About(
        "How busy is each disk?",
        f"Share of time with a request under way. Good: under {percent(BUSY.warning)}. "
        "Always busy may still have room: see waiting.",
        "percentunit",
        NO_HOST,
    ),
    [Query(f"instance_device:node_disk_io_time_seconds:rate1m{selector(*MACHINE, REAL_DISK)}", "{{device}}")],
    BUSY,
)
DISK_WAITING = lines(
    About(
        "Does work wait for the disk?",
        "Share of time in which some task waited for input or output. "
        f"Good: under {percent(PRESSURE.warning)}. Above: write less.",
        "percentunit",
        "This kernel does not tell of pressure (PSI): it is older than 4.20, or started with psi=0.",
    ),
    [Query(f"instance:node_io_pressure:rate1m{OF}", "{{instance}}", colours.DISK)],
    PRESSURE,
)
NETWORK_BYTES = lines(
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
    NETWORK,
)
NETWORK_FAULTS = lines(
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
FILESYSTEMS = bars(
    About(
        "How full is each filesystem?",
        "Good: green. Orange: plan; red: writes soon fail.",
        "percentunit",
        NO_HOST,
        decimals=0,
    ),
    Query(
        f"sort_desc(instance_mountpoint:node_filesystem_used:ratio{OF})", "{{instance}} · {{mountpoint}}", instant=True
    ),
    FILESYSTEM,
)

BOARD = Board(
    uid="system",
    title="System",
    question="Is a machine full, does work wait for it, and did anything break?",
    related=("overview", "llm", "stack"),
    variables=(
        choice("service", "Service", "node_cpu_seconds_total"),
        choice("instance", "Instance", 'node_cpu_seconds_total{service=~"$service"}'),
    ),
    signals={
        "cpu_used_ratio": CPU_MODES,
        "memory_used_ratio": MEMORY_PARTS,
        "disk_io_bytes_per_second": DISK_BYTES,
        "network_io_bytes_per_second": NETWORK_BYTES,
    },
    rows=(
        Row(4, [(4, panel) for panel in (CPU_NOW, MEMORY_NOW, LOAD_NOW, DISK_NOW, NETWORK_NOW, FULLEST_NOW)]),
        Row(7, [(12, CPU_MODES), (12, CPU_WAITING)]),
        Row(7, [(12, MEMORY_PARTS), (12, MEMORY_WAITING)]),
        Row(7, [(8, DISK_BYTES), (8, DISK_BUSY), (8, DISK_WAITING)]),
        Row(7, [(8, NETWORK_BYTES), (8, NETWORK_FAULTS), (8, FILESYSTEMS)]),
        Row(
            7,
            [(6, panel) for panel in (CONTAINER_CPU, CONTAINER_HELD, CONTAINER_MEMORY, KILLED)],
            title="Containers",
        ),
    ),
)
