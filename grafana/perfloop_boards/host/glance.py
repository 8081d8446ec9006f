"""What a machine is and how full it is, in single figures; of several machines the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row, evenly
from perfloop_boards.host.selection import OF, OF_ALL, alive, named
from perfloop_boards.limits import Limit, megabytes, percent, plain, seconds
from perfloop_boards.links import to_runbook
from perfloop_boards.panels import About, figure, number
from perfloop_boards.queries import Query
from perfloop_boards.watches import HOSTS

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NOTHING = "no host"
FIRST_FAULT = Limit(warning=1)
# The bound of NTP's own step, and of what node_exporter's mixin warns about: logs and traces of hosts that differ by
# more cannot be put in order.
CLOCK_WRONG = Limit(warning=0.05)
# Read-only by their kind: an image, and what a package brings. Any other becomes read-only when it fails.
WRITABLE = 'fstype!~"squashfs|iso9660|erofs|overlay|tmpfs|ramfs|autofs|fuse.*"'


def utilization(limits: Limits) -> Row:
    """How much of each resource is used."""
    return Row(
        4,
        evenly(_cpu(limits), _memory(limits), _load(limits), _disk(limits), _network(limits), _filesystem(limits)),
    )


def inventory() -> Row:
    """What the machine has, since when it runs, and what is wrong with it."""
    return Row(4, evenly(_cores(), _installed(), _uptime(), _swap(), _faulty(), _clock()))


def _highest(series: str) -> str:
    return f"max({alive(f'{series}{OF}')})"


def _cpu(limits: Limits) -> AnyPanel:
    cpu = limits.signal("cpu_used_ratio")
    return number(
        About(
            "CPU used",
            f"The busiest host. Good: under {percent(cpu.first)}. Above: find the process that uses it, then add "
            "cores.",
            "percentunit",
            NOTHING,
            decimals=0,
            links=OF_ALL,
        ),
        Query(_highest("instance:node_cpu_used:ratio_rate1m")),
        cpu,
        watch=HOSTS,
    )


def _memory(limits: Limits) -> AnyPanel:
    memory = limits.signal("memory_used_ratio")
    return number(
        About(
            "Memory used",
            f"Used = total \u2212 available (MemAvailable). Good: under {percent(memory.first)}. Above: find the "
            "process that grows.",
            "percentunit",
            NOTHING,
            decimals=0,
            links=OF_ALL,
        ),
        Query(_highest("instance:node_memory_used:ratio")),
        memory,
        watch=HOSTS,
    )


def _load(limits: Limits) -> AnyPanel:
    load = limits.alert("LoadHigh")
    return number(
        About(
            "Load per CPU",
            f"Tasks that run or wait, per CPU. Good: under 1. Above {plain(load.first)}, tasks queue for the CPU.",
            "none",
            NOTHING,
            decimals=2,
            links=(*OF_ALL, to_runbook("LoadHigh")),
        ),
        Query(_highest("instance:node_load1_per_cpu:ratio")),
        load,
        watch=HOSTS,
    )


def _disk(limits: Limits) -> AnyPanel:
    disk = limits.signal("disk_io_bytes_per_second")
    return number(
        About(
            "Disk I/O",
            f"Read and written. Good: under {megabytes(disk.first)}. Above: find the process, and whether the data "
            "could be kept in memory.",
            "Bps",
            NOTHING,
            decimals=1,
            links=OF_ALL,
        ),
        Query(_highest("instance:node_disk_io_bytes:rate1m")),
        disk,
        watch=HOSTS,
    )


def _network(limits: Limits) -> AnyPanel:
    network = limits.signal("network_io_bytes_per_second")
    return number(
        About(
            "Network I/O",
            f"Received and sent. Good: under {megabytes(network.first)}. Above: compress, paginate, or move the data "
            "closer.",
            "Bps",
            NOTHING,
            decimals=1,
            links=OF_ALL,
        ),
        Query(_highest("instance:node_network_io_bytes:rate1m")),
        network,
        watch=HOSTS,
    )


def _filesystem(limits: Limits) -> AnyPanel:
    filesystem = limits.alert("FilesystemNearlyFull")
    return number(
        About(
            "Filesystem used",
            f"The fullest filesystem. Good: under {percent(filesystem.first)}. Above {percent(filesystem.last)}, "
            "writes will soon fail: free or add space today.",
            "percentunit",
            NOTHING,
            decimals=0,
            links=(*OF_ALL, to_runbook("FilesystemNearlyFull")),
        ),
        Query(_highest("instance_mountpoint:node_filesystem_used:ratio")),
        filesystem,
        watch=HOSTS,
    )


def _cores() -> AnyPanel:
    return figure(
        About("CPUs", "Logical CPUs of the chosen hosts together.", "none", NOTHING, decimals=0, links=OF_ALL),
        Query(f"sum(instance:node_num_cpu:count{OF})"),
        colours.CPU,
        watch=HOSTS,
    )


def _installed() -> AnyPanel:
    return figure(
        About("Memory", "Memory of the chosen hosts together.", "bytes", NOTHING, decimals=1, links=OF_ALL),
        Query(f"sum({named('node_memory_MemTotal_bytes')})"),
        colours.MEMORY,
        watch=HOSTS,
    )


def _uptime() -> AnyPanel:
    return figure(
        About(
            "Uptime",
            "Since the start of the host that started last. Short without a planned restart: a crash, see its log.",
            "s",
            NOTHING,
            decimals=1,
            links=OF_ALL,
        ),
        Query(f"min(time() - {named('node_boot_time_seconds')})"),
        colours.OTHER,
        watch=HOSTS,
    )


def _swap() -> AnyPanel:
    total, free = named("node_memory_SwapTotal_bytes"), named("node_memory_SwapFree_bytes")
    return figure(
        About(
            "Swap used",
            "The host with the most swap in use. What was swapped out once and is never read does no harm: see the "
            "swap traffic under Memory.",
            "percentunit",
            "no swap",
            decimals=0,
            links=OF_ALL,
        ),
        Query(f"max(1 - {free} / ({total} > 0))"),
        colours.MEMORY,
        watch=HOSTS,
    )


def _faulty() -> AnyPanel:
    broken = f"{named('node_filesystem_device_error')} == 1 or {named('node_filesystem_readonly', WRITABLE)} == 1"
    return number(
        About(
            "Faulty mounts",
            "Filesystems that report an error or are read-only. Good: 0. The kernel makes one read-only when its disk "
            "fails: see the table under Filesystems and the kernel's log.",
            "none",
            NOTHING,
            decimals=0,
            links=OF_ALL,
        ),
        Query(f"count({broken}) or 0 * count({named('node_filesystem_size_bytes')})"),
        FIRST_FAULT,
        watch=HOSTS,
    )


def _clock() -> AnyPanel:
    offset = named("node_timex_offset_seconds")
    return number(
        About(
            "Clock offset",
            f"Of the hosts' clocks from their time servers. Good: under {seconds(CLOCK_WRONG.first)}. Not synced: no "
            "time server is followed, so that it is not known; see Hardware and clock.",
            "s",
            "not synced",
            links=OF_ALL,
        ),
        Query(f"max(abs({offset}) and on (instance) {named('node_timex_sync_status')} == 1)"),
        CLOCK_WRONG,
        watch=HOSTS,
    )
