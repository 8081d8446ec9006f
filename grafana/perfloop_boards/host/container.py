"""Containers: CPU, memory, tasks and what waits, each beside its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_boards.board import Row
from perfloop_boards.host.selection import OF, OF_ALL, OF_HOST, flow, level, named, per
from perfloop_boards.limits import Limit, percent
from perfloop_boards.panels import About, lines
from perfloop_boards.queries import Query

if TYPE_CHECKING:
    from perfloop_boards.limits import Limits
    from perfloop_boards.panels import AnyPanel

EACH = ("instance", "id")
NAME = "{{id}} · {{instance}}"
NO_CONTAINER = "No container limits are visible: the exporter runs outside a container, or cannot read its cgroup."
THROTTLED = Limit(warning=0.25, critical=0.5)


def details(limits: Limits) -> Row:
    """Opened when a container is slow on a machine that is not busy."""
    panels = (_cpu(), _throttling(), _memory(limits), _kinds(), _waiting(), _stalled(), _tasks(), _failures())
    return Row(7, [(6, panel) for panel in panels], title="Containers", collapsed=True)


def _cpu() -> AnyPanel:
    return lines(
        About(
            "CPU by container",
            "CPUs used, and in the kernel. A flat top means that the container reached its limit: see CPU throttling.",
            "none",
            NO_CONTAINER,
            links=OF_HOST,
        ),
        [
            Query(flow("container_cpu_usage_seconds_total", by=EACH), NAME),
            Query(flow("container_cpu_system_seconds_total", by=EACH), f"in the kernel · {NAME}"),
            Query(
                f"{named('container_spec_cpu_quota')} / {named('container_spec_cpu_period')}",
                f"limit · {NAME}",
                dashed=True,
            ),
        ],
    )


def _throttling() -> AnyPanel:
    return lines(
        About(
            "CPU throttling by container",
            "Share of scheduling periods in which the CPU limit throttled a container. Good: 0. Above "
            f"{percent(THROTTLED.first)}, raise the limit.",
            "percentunit",
            "No container has a CPU limit.",
            links=OF_HOST,
        ),
        [Query(per("container_cpu_cfs_throttled_periods_total", "container_cpu_cfs_periods_total", by=EACH), NAME)],
        THROTTLED,
    )


def _memory(limits: Limits) -> AnyPanel:
    memory = limits.signal("memory_used_ratio")
    return lines(
        About(
            "Memory by container",
            f"Working set relative to the limit. Good: under {percent(memory.first)}. At 100%, the kernel kills "
            "a process in the container.",
            "percentunit",
            "No container has a memory limit.",
            links=OF_HOST,
        ),
        [
            Query(
                f"sum by (instance, id) (container_memory_working_set_bytes{OF})"
                f" / (sum by (instance, id) (container_spec_memory_limit_bytes{OF}) > 0)",
                NAME,
            )
        ],
        memory,
    )


def _kinds() -> AnyPanel:
    return lines(
        About(
            "Memory of containers by kind",
            "Of the chosen hosts together; a container that holds others counts theirs too. Only the page cache can be "
            "released on demand.",
            "bytes",
            NO_CONTAINER,
            links=OF_ALL,
        ),
        [
            Query(f"max({named(f'container_memory_{kind}')})", name)
            for kind, name in (
                ("usage_bytes", "all"),
                ("rss", "programs"),
                ("cache", "page cache"),
                ("swap", "swap"),
            )
        ],
    )


def _waiting() -> AnyPanel:
    return _pressure("waiting", "Pressure in containers", "some task of the container waited")


def _stalled() -> AnyPanel:
    return _pressure("stalled", "Stalled containers", "no task of the container could work")


def _pressure(kind: str, title: str, meaning: str) -> AnyPanel:
    return lines(
        About(
            title,
            f"Share of time in which {meaning} for a CPU, memory or I/O. Good: near 0. Above, see which limit the "
            "container has reached.",
            "percentunit",
            "No pressure (PSI) data of containers: it needs control groups of version 2 with psi=1.",
            links=OF_HOST,
        ),
        [
            Query(flow(f"container_pressure_{what}_{kind}_seconds_total", by=EACH), f"{name} · {NAME}")
            for what, name in (("cpu", "CPU"), ("memory", "memory"), ("io", "I/O"))
        ],
    )


def _tasks() -> AnyPanel:
    return lines(
        About(
            "Tasks by container",
            "Processes and threads. Good: level, and far from the limit; at the limit the container can start nothing.",
            "none",
            NO_CONTAINER,
            links=OF_HOST,
        ),
        [
            Query(level("container_threads", by=EACH), NAME),
            Query(f"max by (instance, id) ({named('container_threads_max')})", f"limit · {NAME}", dashed=True),
        ],
    )


def _failures() -> AnyPanel:
    return lines(
        About(
            "Memory limit reached",
            "How often within five minutes a container asked for more than its limit. Good: 0. It is slowed while "
            "pages are reclaimed: raise the limit before something is killed.",
            "none",
            "No container counts how often its memory limit was reached (control groups of version 1 do).",
            links=OF_HOST,
        ),
        [
            Query(f"sum by (instance, id) (increase({named('container_memory_failcnt')}[5m]))", NAME),
            Query(
                f"sum by (instance, id) (increase({named('container_cpu_cfs_throttled_seconds_total')}[5m]))",
                f"seconds throttled · {NAME}",
            ),
        ],
    )
