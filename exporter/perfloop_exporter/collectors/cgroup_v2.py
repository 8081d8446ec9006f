"""Control groups version 2: one directory per group (kernel: Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.cgroup_view import View, parse_fields
from perfloop_exporter.collectors.host import whole
from perfloop_exporter.collectors.pressure import read_pressure
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from perfloop_exporter.collectors.host import Host

MICROSECONDS = 1_000_000
# PSI's words and cAdvisor's.
KINDS = {"some": "waiting", "full": "stalled"}


def read_view(host: Host, directory: str) -> View:
    """Read one group from its directory.

    Returns:
        Values by family name; files that do not exist are left out, as most are in the root group.
    """
    view: View = {}
    for read in (_cpu, _memory, _tasks, _pressure):
        read(host, directory, view)
    return view


def limit(text: str, where: str) -> int:
    """Return the number in a limit file, 0 for `max` (no limit), which is how cAdvisor exports it."""
    return 0 if text == "max" else whole(text, where)


def _cpu(host: Host, directory: str, view: View) -> None:
    stat = parse_fields(host.attribute(f"{directory}/cpu.stat") or "", "cpu.stat")
    names = {
        "usage_usec": ("container_cpu_usage_seconds_total", MICROSECONDS),
        "user_usec": ("container_cpu_user_seconds_total", MICROSECONDS),
        "system_usec": ("container_cpu_system_seconds_total", MICROSECONDS),
        "nr_periods": ("container_cpu_cfs_periods_total", 1),
        "nr_throttled": ("container_cpu_cfs_throttled_periods_total", 1),
        "throttled_usec": ("container_cpu_cfs_throttled_seconds_total", MICROSECONDS),
    }
    view.update(
        (family, stat[name] / divide if divide > 1 else stat[name])
        for name, (family, divide) in names.items()
        if name in stat
    )
    text = host.attribute(f"{directory}/cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        view["container_spec_cpu_period"] = whole(period, "cpu.max")
        if quota != "max":
            view["container_spec_cpu_quota"] = whole(quota, "cpu.max")


def _memory(host: Host, directory: str, view: View) -> None:
    used = host.attribute(f"{directory}/memory.current")
    most = host.attribute(f"{directory}/memory.max")
    stat = parse_fields(host.attribute(f"{directory}/memory.stat") or "", "memory.stat")
    events = parse_fields(host.attribute(f"{directory}/memory.events") or "", "memory.events")
    swap = host.attribute(f"{directory}/memory.swap.current")
    if most:
        view["container_spec_memory_limit_bytes"] = limit(most, "memory.max")
    if used:
        total = whole(used, "memory.current")
        view["container_memory_usage_bytes"] = total
        # cAdvisor's definition of the working set: the kernel reclaims inactive file cache before anything else.
        view["container_memory_working_set_bytes"] = max(total - stat.get("inactive_file", 0), 0)
    if swap:
        view["container_memory_swap"] = whole(swap, "memory.swap.current")
    for field, family in (("file", "container_memory_cache"), ("anon", "container_memory_rss")):
        if field in stat:
            view[family] = stat[field]
    for event, family in (("max", "container_memory_failcnt"), ("oom_kill", "container_oom_events_total")):
        if event in events:
            view[family] = events[event]


def _tasks(host: Host, directory: str, view: View) -> None:
    for file, family in (("pids.current", "container_threads"), ("pids.max", "container_threads_max")):
        text = host.attribute(f"{directory}/{file}")
        if text:
            view[family] = limit(text, file)


def _pressure(_host: Host, directory: str, view: View) -> None:
    for resource in ("cpu", "memory", "io"):
        try:
            totals = read_pressure(f"{directory}/{resource}.pressure") or {}
        except PermissionError as error:
            raise CollectorError(f"{resource}.pressure: {error.strerror}") from error
        for kind, seconds in totals.items():
            view[f"container_pressure_{resource}_{KINDS[kind]}_seconds_total"] = seconds
