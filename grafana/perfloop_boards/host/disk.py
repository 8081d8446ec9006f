"""Disks: throughput, busy time, what waits; operations, their average wait, the queue; filesystems and inodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.selection import (
    ALL_HOSTS,
    DEVICE,
    MACHINE,
    NO_HOST,
    NO_PRESSURE,
    OF,
    OF_HOST,
    REAL_DISK,
    flow,
    named,
    per,
    recorded,
)
from perfloop_boards.limits import percent
from perfloop_boards.links import of_cell, to_board, to_runbook
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query, highest, selector
from perfloop_boards.tables import Column, bars, rows

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NO_DISK = "No disk of its own is monitored: the chosen hosts have none that the exporter can read."
PART = ("instance", "mountpoint")
# An image and what lies in memory is always full, or cannot be filled for long.
REAL_FS = 'fstype!~"tmpfs|ramfs|squashfs|overlay|iso9660|erofs|autofs"'
# What is read-only or reports an error, as a state of a table's cell.
MOUNTS = {
    "0": ("writable", colours.GOOD),
    "1": ("read-only", colours.WARNING),
    "2": ("error", colours.BAD),
    "3": ("error", colours.BAD),
}
DISK = "{{device}} · {{instance}}"


def throughput(limits: Limits) -> AnyPanel:
    """Bytes read and written, the panel of the signal."""
    return lines(
        About(
            "Disk throughput",
            "Good: under the dashed line. Physical disks only, so that each byte counts once.",
            "Bps",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_disk_read_bytes_total", REAL_DISK), "disk reads · {{instance}}"),
            Query(flow("node_disk_written_bytes_total", REAL_DISK), "disk writes · {{instance}}"),
        ],
        limits.signal("disk_io_bytes_per_second"),
    )


def busy(limits: Limits) -> AnyPanel:
    """The share of time in which each disk works."""
    limit = limits.alert("DiskSaturated")
    series = f"instance_device:node_disk_io_time_seconds:rate1m{selector(*MACHINE, REAL_DISK)}"
    return lines(
        About(
            "Disk busy time",
            f"Share of time with a request in progress. Good: under {percent(limit.first)}. A busy disk may still "
            "have capacity: see disk pressure.",
            "percentunit",
            NO_HOST,
            links=(*OF_HOST, to_runbook("DiskSaturated")),
        ),
        [Query(highest(10, series, series, *DEVICE), DISK)],
        limit,
    )


def waiting(limits: Limits) -> AnyPanel:
    """The pressure on disks."""
    pressure = limits.alert("MemoryPressure")
    return lines(
        About(
            "Disk pressure",
            f"Share of time in which some task waited for I/O. Good: under {percent(pressure.first)}. Above: read "
            "and write less, or use a faster disk.",
            "percentunit",
            NO_PRESSURE,
            links=OF_HOST,
        ),
        [Query(recorded("instance:node_io_pressure:rate1m"), "{{instance}}")],
        pressure,
    )


def usage(limits: Limits) -> AnyPanel:
    """How full each filesystem is."""
    return bars(
        About(
            "Filesystem usage",
            "Good: green. Orange: plan for more space. Red: writes will soon fail.",
            "percentunit",
            NO_HOST,
            decimals=0,
            links=(to_board("Show this host alone", "system", instance=of_cell("Instance")), ALL_HOSTS),
        ),
        Query(
            f"sort_desc(topk(30, instance_mountpoint:node_filesystem_used:ratio{OF}))",
            "{{instance}} · {{mountpoint}}",
            instant=True,
        ),
        limits.alert("FilesystemNearlyFull"),
    )


def details() -> Row:
    """Operations, wait and queue of each disk: opened when a disk is the suspect."""
    panels = (_operations(), _wait(), _queue(), _sizes(), _merged(), _other(), _other_wait(), _now())
    return Row(7, [(6, panel) for panel in panels], title="Disks: operations, wait and queue", collapsed=True)


def _operations() -> AnyPanel:
    return lines(
        About(
            "Disk operations (IOPS)",
            "Completed per second. Good: below what the disk is sold for; at a flat top the queue grows instead.",
            "iops",
            NO_DISK,
            links=OF_HOST,
        ),
        [
            Query(flow("node_disk_reads_completed_total", REAL_DISK, by=DEVICE), f"reads · {DISK}"),
            Query(flow("node_disk_writes_completed_total", REAL_DISK, by=DEVICE), f"writes · {DISK}"),
        ],
    )


def _wait() -> AnyPanel:
    return lines(
        About(
            "Average wait of an operation",
            "From the request to its end, queue included. Good: under 1 ms on flash, under 20 ms on turning disks. "
            "Above: see the queue.",
            "s",
            NO_DISK,
            links=OF_HOST,
        ),
        [
            Query(
                per(f"node_disk_{kind}_time_seconds_total", f"node_disk_{kind}s_completed_total", REAL_DISK, by=DEVICE),
                f"{kind} · {DISK}",
            )
            for kind in ("read", "write")
        ],
    )


def _queue() -> AnyPanel:
    series = f"instance_device:node_disk_io_queue:rate1m{selector(*MACHINE, REAL_DISK)}"
    return lines(
        About(
            "Disk queue length",
            "Operations that wait or are in progress, on average. Good: near 0, or level. A queue that stays and "
            "grows: the disk is the limit.",
            "none",
            NO_DISK,
            links=OF_HOST,
        ),
        [Query(highest(10, series, series, *DEVICE), DISK)],
    )


def _sizes() -> AnyPanel:
    return lines(
        About(
            "Average size of an operation",
            "Small ones cost as many operations for little data: larger blocks, or a buffer, bring more throughput.",
            "bytes",
            NO_DISK,
            links=OF_HOST,
        ),
        [
            Query(
                per("node_disk_read_bytes_total", "node_disk_reads_completed_total", REAL_DISK, by=DEVICE),
                f"read · {DISK}",
            ),
            Query(
                per("node_disk_written_bytes_total", "node_disk_writes_completed_total", REAL_DISK, by=DEVICE),
                f"write · {DISK}",
            ),
        ],
    )


def _merged() -> AnyPanel:
    return lines(
        About(
            "Merged operations",
            "Per second: adjacent requests that the kernel joined into one. Many of them: programs read or write in "
            "small pieces, one after the other.",
            "iops",
            NO_DISK,
            links=OF_HOST,
        ),
        [
            Query(flow("node_disk_reads_merged_total", REAL_DISK, by=DEVICE), f"reads · {DISK}"),
            Query(flow("node_disk_writes_merged_total", REAL_DISK, by=DEVICE), f"writes · {DISK}"),
        ],
    )


def _other() -> AnyPanel:
    return lines(
        About(
            "Discards and flushes",
            "Per second. A flush makes what was written safe: a database that commits each row flushes as often. "
            "Discards release blocks of flash.",
            "iops",
            "No disk reports discards or flushes: the kernel is older than 5.5, or the disk knows neither.",
            links=OF_HOST,
        ),
        [
            Query(flow("node_disk_flush_requests_total", REAL_DISK, by=DEVICE), f"flushes · {DISK}"),
            Query(flow("node_disk_discards_completed_total", REAL_DISK, by=DEVICE), f"discards · {DISK}"),
        ],
    )


def _other_wait() -> AnyPanel:
    return lines(
        About(
            "Average wait of a flush",
            "Until what was written is safe. Good: a few milliseconds. Long ones make each commit of a database slow.",
            "s",
            "No flush in this time range.",
            links=OF_HOST,
        ),
        [
            Query(
                per(
                    "node_disk_flush_requests_time_seconds_total",
                    "node_disk_flush_requests_total",
                    REAL_DISK,
                    by=DEVICE,
                ),
                f"flush · {DISK}",
            ),
            Query(
                per("node_disk_discard_time_seconds_total", "node_disk_discards_completed_total", REAL_DISK, by=DEVICE),
                f"discard · {DISK}",
            ),
        ],
    )


def _now() -> AnyPanel:
    series = named("node_disk_io_now", REAL_DISK)
    return lines(
        About(
            "Operations in progress",
            "At the moment of each scrape. Good: returns to 0. One that stays at the same number for long: a disk that "
            "no longer answers.",
            "none",
            NO_DISK,
            links=OF_HOST,
        ),
        [Query(highest(10, f"max by (instance, device) ({series})", series, *DEVICE), DISK)],
    )


def filesystems(limits: Limits) -> Row:
    """Every filesystem: size, what is left of bytes and of inodes, and whether it can be written."""
    return Row(
        8, [(16, _table(limits)), (8, _inodes(limits))], title="Filesystems: space, inodes and errors", collapsed=True
    )


def _table(limits: Limits) -> AnyPanel:
    by = "instance, mountpoint, device, fstype"
    size = f"max by ({by}) ({named('node_filesystem_size_bytes', REAL_FS)} > 0)"
    inodes = f"max by ({by}) ({named('node_filesystem_files', REAL_FS)} > 0)"
    free = f"max by ({by}) ({named('node_filesystem_files_free', REAL_FS)})"
    available = f"max by ({by}) ({named('node_filesystem_avail_bytes', REAL_FS)})"
    readonly, error = named("node_filesystem_readonly", REAL_FS), named("node_filesystem_device_error", REAL_FS)
    host = (to_board("Show this host alone", "system", instance=of_cell("Host")),)
    limit = limits.alert("FilesystemNearlyFull")
    return rows(
        About(
            "Filesystems",
            f"Good: under {percent(limit.first)} of space and of inodes, and no error. Out of inodes, no file can be "
            "made while space is left: many small files.",
            "none",
            "No filesystem of the chosen hosts is monitored.",
        ),
        [
            Query(f"max by ({by}) ({readonly} + {error} * 2)", instant=True),
            Query(f"1 - {available} / {size}", instant=True),
            Query(f"1 - {free} / {inodes}", instant=True),
            Query(available, instant=True),
            Query(size, instant=True),
        ],
        [
            Column("instance", "Host", width=150, links=host),
            Column("mountpoint", "Mount point"),
            Column("device", "Device", width=150),
            Column("fstype", "Type", width=80),
            Column("Value #A", "State", unit="none", words=MOUNTS, width=90),
            Column("Value #B", "Used", unit="percentunit", limit=limit, width=80),
            Column("Value #C", "Inodes used", unit="percentunit", limit=limit, width=100),
            Column("Value #D", "Free", unit="bytes", width=90),
            Column("Value #E", "Size", unit="bytes", width=90),
        ],
        sort="Used",
    )


def _inodes(limits: Limits) -> AnyPanel:
    by = ", ".join(PART)
    free, total = (named(f"node_filesystem_files{end}", REAL_FS) for end in ("_free", ""))
    limit = limits.alert("FilesystemNearlyFull")
    return lines(
        About(
            "Inodes used",
            f"Share of the files that a filesystem can hold. Good: under {percent(limit.first)}. Above: look for "
            "caches and sessions kept as single files.",
            "percentunit",
            "No filesystem of the chosen hosts counts inodes.",
            links=OF_HOST,
        ),
        [
            Query(
                f"max by ({by}) (1 - {free} / ({total} > 0)) and on ({by}) topk(10, max by ({by}) "
                f"(1 - min_over_time({free}[$__range] @ end()) / max_over_time({total}[$__range] @ end())))",
                "{{mountpoint}} · {{instance}}",
            )
        ],
        limit,
    )
