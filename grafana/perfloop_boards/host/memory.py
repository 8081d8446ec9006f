"""Memory: by use, what waits for it, swap, what the kernel keeps and what programs were promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards import colours
from perfloop_boards.board import Row
from perfloop_boards.host.selection import (
    NO_HOST,
    NO_PRESSURE,
    OF,
    OF_ALL,
    OF_HOST,
    flow,
    level,
    named,
    recorded,
)
from perfloop_boards.limits import FIRST_WARNS, percent
from perfloop_boards.links import to_runbook
from perfloop_boards.panels import About, lines, stacked
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

NO_SWAP = "The chosen hosts have no swap."


def _total(field: str) -> str:
    return f"sum({named(f'node_memory_{field}_bytes')})"


def parts() -> AnyPanel:
    """Memory by use, the panel of the signal."""
    return stacked(
        About(
            "Memory by use",
            "Used: programs. Cached: files, released on demand. Good: free and cached together above 20%.",
            "bytes",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(f"{_total('MemTotal')} - {_total('MemAvailable')}", "used", colours.MEMORY),
            Query(f"{_total('MemAvailable')} - {_total('MemFree')}", "cached", colours.VECTOR),
            Query(_total("MemFree"), "free", colours.OTHER),
        ],
    )


def waiting(limits: Limits) -> AnyPanel:
    """The pressure on memory."""
    pressure = limits.alert("MemoryPressure")
    return lines(
        About(
            "Memory pressure",
            f"Share of time in which some task waited for memory. Good: 0. Above {percent(pressure.first)}, the "
            "machine swaps or reclaims pages.",
            "percentunit",
            NO_PRESSURE,
            links=(*OF_HOST, to_runbook("MemoryPressure")),
        ),
        [Query(recorded("instance:node_memory_pressure:rate1m"), "{{instance}}")],
        pressure,
    )


def killed() -> AnyPanel:
    """What the kernel killed for lack of memory."""
    return lines(
        About(
            "Out-of-memory kills",
            "Processes that the kernel killed in five minutes for lack of memory. Good: 0. Each lost its work: "
            "raise the memory limit.",
            "none",
            "This kernel does not count out-of-memory kills (before 4.13), or no host is monitored.",
            links=(*OF_HOST, to_runbook("OutOfMemoryKill")),
        ),
        [
            Query(f"sum by (instance) (increase(container_oom_events_total{OF}[5m]))", "in a container · {{instance}}"),
            Query(f"sum by (instance) (increase(node_vmstat_oom_kill{OF}[5m]))", "on the host · {{instance}}"),
        ],
        FIRST_WARNS,
    )


def details() -> Row:
    """Swap, faults, the kernel's own memory: opened when memory is the suspect."""
    panels = (_swap(), _swapped(), _faults(), _stalled(), _dirty(), _kernel(), _programs(), _committed())
    return Row(7, [(6, panel) for panel in panels], title="Memory: swap, faults and kernel", collapsed=True)


def _swap() -> AnyPanel:
    total, free = named("node_memory_SwapTotal_bytes"), named("node_memory_SwapFree_bytes")
    return lines(
        About(
            "Swap used, by host",
            "Good: level. A rise together with swap traffic: memory is too small for what runs.",
            "bytes",
            NO_SWAP,
            links=OF_HOST,
        ),
        [
            Query(f"{total} - {free} and {total} > 0", "used · {{instance}}"),
            Query(f"{named('node_memory_SwapCached_bytes')} and {total} > 0", "also in memory · {{instance}}"),
            Query(f"{total} > 0", "size · {{instance}}"),
        ],
    )


def _swapped() -> AnyPanel:
    return lines(
        About(
            "Swap traffic",
            "Pages per second. Good: 0. Pages that come in and go out at the same time: the host works for its swap, "
            "not for its programs.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_vmstat_pswpin"), "in · {{instance}}"),
            Query(flow("node_vmstat_pswpout"), "out · {{instance}}"),
        ],
    )


def _faults() -> AnyPanel:
    return lines(
        About(
            "Page faults",
            "Per second. Major: read from the disk first; many of them are slow programs. Minor faults cost little.",
            "none",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(flow("node_vmstat_pgmajfault"), "major · {{instance}}"),
            Query(flow("node_vmstat_pgfault"), "all · {{instance}}"),
        ],
    )


def _stalled() -> AnyPanel:
    return lines(
        About(
            "All tasks stalled",
            "Share of time in which no task could work because all waited for memory or I/O (pressure, full). Good: 0.",
            "percentunit",
            NO_PRESSURE,
            links=OF_HOST,
        ),
        [
            Query(flow(f"node_pressure_{what}_stalled_seconds_total"), f"{name} · {{{{instance}}}}")
            for what, name in (("memory", "memory"), ("io", "I/O"), ("irq", "interrupts"))
        ],
    )


def _dirty() -> AnyPanel:
    return lines(
        About(
            "Memory to be written",
            "Dirty: changed and not on disk yet. Writeback: on its way. Good: falls again. A rise: the disk cannot "
            "keep up with the writes.",
            "bytes",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(level("node_memory_Dirty_bytes"), "dirty · {{instance}}"),
            Query(level("node_memory_Writeback_bytes"), "writeback · {{instance}}"),
        ],
    )


def _kernel() -> AnyPanel:
    return stacked(
        About(
            "Memory of the kernel",
            "Good: level. A slab that cannot be reclaimed and grows for days: a leak in a driver or a module.",
            "bytes",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            Query(_total(field), name)
            for field, name in (
                ("SReclaimable", "slab, reclaimable"),
                ("SUnreclaim", "slab, unreclaimable"),
                ("PageTables", "page tables"),
                ("KernelStack", "stacks"),
                ("Percpu", "per CPU"),
                ("VmallocUsed", "vmalloc"),
            )
        ],
    )


def _programs() -> AnyPanel:
    return lines(
        About(
            "Program and file memory",
            "Anonymous: heaps and stacks. Shared: tmpfs and shared memory; it cannot be released. Huge pages are "
            "reserved whether used or not.",
            "bytes",
            NO_HOST,
            links=OF_ALL,
        ),
        [
            *(
                Query(_total(field), name)
                for field, name in (
                    ("AnonPages", "anonymous"),
                    ("Cached", "files"),
                    ("Buffers", "buffers"),
                    ("Mapped", "mapped"),
                    ("Shmem", "shared"),
                    ("Mlocked", "locked"),
                )
            ),
            Query(
                f"sum({named('node_memory_HugePages_Total')} * on (instance) "
                f"{named('node_memory_Hugepagesize_bytes')})",
                "huge pages",
            ),
        ],
    )


def _committed() -> AnyPanel:
    return lines(
        About(
            "Committed memory",
            "What programs were promised, as a share of the limit. Above 100% is usual; with vm.overcommit_memory=2 "
            "the next allocation fails.",
            "percentunit",
            NO_HOST,
            links=OF_HOST,
        ),
        [
            Query(
                f"{named('node_memory_Committed_AS_bytes')} / ({named('node_memory_CommitLimit_bytes')} > 0)",
                "{{instance}}",
            )
        ],
    )
