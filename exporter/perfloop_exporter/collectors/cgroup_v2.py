"""Control groups version 2: one directory per group (kernel: Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.cgroup_view import View, parse_fields, smallest
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.pressure import read_pressure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.losses import Losses

MICROSECONDS = 1_000_000
THROTTLING = {
    "nr_periods": "container_cpu_cfs_periods_total",
    "nr_throttled": "container_cpu_cfs_throttled_periods_total",
}
USAGE = {
    "usage_usec": "container_cpu_usage_seconds_total",
    "user_usec": "container_cpu_user_seconds_total",
    "system_usec": "container_cpu_system_seconds_total",
}
# PSI's words and cAdvisor's.
KINDS = {"some": "waiting", "full": "stalled"}


def read_view(host: Host, lineage: Sequence[str], losses: Losses) -> View:
    """Read one group.

    Args:
        host: The machine.
        lineage: The directory of the group, then those of the groups above it: a limit may be set on any of these, as
            Kubernetes sets it on a pod and not on its containers.
        losses: Takes what cannot be read.

    Returns:
        Values by family name; files that do not exist are left out, as most are in the root group.
    """
    view: View = {}
    for read in (_cpu, _memory, read_tasks, _pressure):
        read(host, lineage, view, losses)
    return view


def read_limit(host: Host, lineage: Sequence[str], file: str, losses: Losses) -> int | None:
    """Return the smallest of the limits in this file of the groups, 0 without any, None where there is no such file."""

    def read(directory: str) -> int | None:
        text = host.attribute(f"{directory}/{file}")
        with losses:
            return limit(text, file) if text else None
        return None

    return smallest([read(directory) for directory in lineage])


def limit(text: str, where: str) -> int:
    """Return the number in a limit file, 0 for `max` (no limit), which is how cAdvisor exports it."""
    return 0 if text == "max" else whole(text, where)


def _cpu(host: Host, lineage: Sequence[str], view: View, losses: Losses) -> None:
    stat = parse_fields(host.attribute(f"{lineage[0]}/cpu.stat") or "", "cpu.stat", losses)
    view.update((family, stat[name] / MICROSECONDS) for name, family in USAGE.items() if name in stat)
    place = _quota(host, lineage, view, losses)
    if place != lineage[0]:  # the kernel counts where the quota is set
        stat = parse_fields(host.attribute(f"{place}/cpu.stat") or "", "cpu.stat", losses)
    view.update((family, stat[name]) for name, family in THROTTLING.items() if name in stat)
    if "throttled_usec" in stat:
        view["container_cpu_cfs_throttled_seconds_total"] = stat["throttled_usec"] / MICROSECONDS


def _quota(host: Host, lineage: Sequence[str], view: View, losses: Losses) -> str:
    """Add the quota that holds, and return the directory that it is set in."""
    quotas: list[tuple[Fraction, int, int, str]] = []
    for directory in reversed(lineage):
        text = host.attribute(f"{directory}/cpu.max")
        with losses:
            if text:
                quota, _, period = text.partition(" ")
                view["container_spec_cpu_period"] = whole(period, "cpu.max")
                if quota != "max":
                    pair = whole(quota, "cpu.max"), max(whole(period, "cpu.max"), 1)
                    quotas.append((Fraction(*pair), *pair, directory))
    if not quotas:
        return lineage[0]
    _, view["container_spec_cpu_quota"], view["container_spec_cpu_period"], place = min(quotas)
    return place


def _memory(host: Host, lineage: Sequence[str], view: View, losses: Losses) -> None:
    directory = lineage[0]
    stat = parse_fields(host.attribute(f"{directory}/memory.stat") or "", "memory.stat", losses)
    events = parse_fields(host.attribute(f"{directory}/memory.events") or "", "memory.events", losses)
    most = read_limit(host, lineage, "memory.max", losses)
    if most is not None:
        view["container_spec_memory_limit_bytes"] = most
    used = host.attribute(f"{directory}/memory.current")
    with losses:
        if used:
            total = whole(used, "memory.current")
            view["container_memory_usage_bytes"] = total
            # cAdvisor's definition of the working set: the kernel reclaims inactive file cache before anything else.
            view["container_memory_working_set_bytes"] = max(total - stat.get("inactive_file", 0), 0)
    swap = host.attribute(f"{directory}/memory.swap.current")
    with losses:
        if swap:
            view["container_memory_swap"] = whole(swap, "memory.swap.current")
    for field, family in (("file", "container_memory_cache"), ("anon", "container_memory_rss")):
        if field in stat:
            view[family] = stat[field]
    for event, family in (("max", "container_memory_failcnt"), ("oom_kill", "container_oom_events_total")):
        if event in events:
            view[family] = events[event]


def read_tasks(host: Host, lineage: Sequence[str], view: View, losses: Losses) -> None:
    """Add the tasks of a group and their limit; the files are the same in both versions."""
    text = host.attribute(f"{lineage[0]}/pids.current")
    with losses:
        if text:
            view["container_threads"] = whole(text, "pids.current")
    most = read_limit(host, lineage, "pids.max", losses)
    if most is not None:
        view["container_threads_max"] = most


def _pressure(_host: Host, lineage: Sequence[str], view: View, losses: Losses) -> None:
    for resource in ("cpu", "memory", "io"):
        totals: dict[str, float] = {}
        with losses:
            totals = read_pressure(f"{lineage[0]}/{resource}.pressure", losses) or {}
        for kind, seconds in totals.items():
            view[f"container_pressure_{resource}_{KINDS[kind]}_seconds_total"] = seconds
