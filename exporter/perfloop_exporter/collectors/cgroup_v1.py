"""A control group of version 1: a folder for each controller, Documentation/admin-guide/cgroup-v1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.cgroup_v2 import limit
from perfloop_exporter.collectors.cgroup_view import View, parse_fields
from perfloop_exporter.collectors.host import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_exporter.collectors.host import Host

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
NANOSECONDS = 1_000_000_000
# The kernel writes no limit as the largest multiple of a page that fits into 63 bits.
NO_LIMIT = 1 << 62


def read_view(host: Host, folders: Mapping[str, str]) -> View:
    """What the files of the group tell."""
    view: View = {}
    _cpu(host, folders, view)
    _memory(host, folders["memory"], view)
    for file, family in (("pids.current", "container_threads"), ("pids.max", "container_threads_max")):
        text = host.attribute(f"{folders['pids']}/{file}")
        if text:
            view[family] = limit(text, file)
    return view


def _cpu(host: Host, folders: Mapping[str, str], view: View) -> None:
    used = host.attribute(f"{folders['cpuacct']}/cpuacct.usage")
    if used:
        view["container_cpu_usage_seconds_total"] = whole(used, "cpuacct.usage") / NANOSECONDS
    ticks = parse_fields(host.attribute(f"{folders['cpuacct']}/cpuacct.stat") or "", "cpuacct.stat")
    for mode in ("user", "system"):
        if mode in ticks:
            view[f"container_cpu_{mode}_seconds_total"] = ticks[mode] / host.clock_ticks
    for file, family in (("cfs_quota_us", "quota"), ("cfs_period_us", "period")):
        text = host.attribute(f"{folders['cpu']}/cpu.{file}")
        if text and text != "-1":
            view[f"container_spec_cpu_{family}"] = whole(text, file)
    stat = parse_fields(host.attribute(f"{folders['cpu']}/cpu.stat") or "", "cpu.stat")
    if "nr_periods" in stat:
        view["container_cpu_cfs_periods_total"] = stat["nr_periods"]
        view["container_cpu_cfs_throttled_periods_total"] = stat.get("nr_throttled", 0)
        view["container_cpu_cfs_throttled_seconds_total"] = stat.get("throttled_time", 0) / NANOSECONDS


def _memory(host: Host, folder: str, view: View) -> None:
    most = host.attribute(f"{folder}/memory.limit_in_bytes")
    used = host.attribute(f"{folder}/memory.usage_in_bytes")
    failed = host.attribute(f"{folder}/memory.failcnt")
    stat = parse_fields(host.attribute(f"{folder}/memory.stat") or "", "memory.stat")
    kills = parse_fields(host.attribute(f"{folder}/memory.oom_control") or "", "memory.oom_control")
    if most:
        allowed = whole(most, "memory.limit_in_bytes")
        view["container_spec_memory_limit_bytes"] = 0 if allowed >= NO_LIMIT else allowed
    if used:
        total = whole(used, "memory.usage_in_bytes")
        view["container_memory_usage_bytes"] = total
        view["container_memory_working_set_bytes"] = max(total - stat.get("total_inactive_file", 0), 0)
    if failed:
        view["container_memory_failcnt"] = whole(failed, "memory.failcnt")
    if "oom_kill" in kills:
        view["container_oom_events_total"] = kills["oom_kill"]
    fields = {
        "total_cache": "container_memory_cache",
        "total_rss": "container_memory_rss",
        "total_swap": "container_memory_swap",
    }
    view.update((family, stat[field]) for field, family in fields.items() if field in stat)
