"""Control groups version 1: one directory per controller (kernel: Documentation/admin-guide/cgroup-v1/)."""

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
# "No limit" is written as the largest multiple of the page size below 2^63 bytes.
NO_LIMIT = 1 << 62


def read_view(host: Host, directories: Mapping[str, str]) -> View:
    """Read one group.

    Args:
        host: The machine.
        directories: The group's directory for each of CONTROLLERS.

    Returns:
        Values by family name; files that do not exist are left out.
    """
    view: View = {}
    _cpu(host, directories, view)
    _memory(host, directories["memory"], view)
    for file, family in (("pids.current", "container_threads"), ("pids.max", "container_threads_max")):
        text = host.attribute(f"{directories['pids']}/{file}")
        if text:
            view[family] = limit(text, file)
    return view


def _cpu(host: Host, directories: Mapping[str, str], view: View) -> None:
    used = host.attribute(f"{directories['cpuacct']}/cpuacct.usage")
    if used:
        view["container_cpu_usage_seconds_total"] = whole(used, "cpuacct.usage") / NANOSECONDS
    ticks = parse_fields(host.attribute(f"{directories['cpuacct']}/cpuacct.stat") or "", "cpuacct.stat")
    for mode in ("user", "system"):
        if mode in ticks:
            view[f"container_cpu_{mode}_seconds_total"] = ticks[mode] / host.clock_ticks
    for file, family in (("cfs_quota_us", "quota"), ("cfs_period_us", "period")):
        text = host.attribute(f"{directories['cpu']}/cpu.{file}")
        if text and text != "-1":
            view[f"container_spec_cpu_{family}"] = whole(text, file)
    stat = parse_fields(host.attribute(f"{directories['cpu']}/cpu.stat") or "", "cpu.stat")
    if "nr_periods" in stat:
        view["container_cpu_cfs_periods_total"] = stat["nr_periods"]
        view["container_cpu_cfs_throttled_periods_total"] = stat.get("nr_throttled", 0)
        view["container_cpu_cfs_throttled_seconds_total"] = stat.get("throttled_time", 0) / NANOSECONDS


def _memory(host: Host, directory: str, view: View) -> None:
    most = host.attribute(f"{directory}/memory.limit_in_bytes")
    used = host.attribute(f"{directory}/memory.usage_in_bytes")
    failed = host.attribute(f"{directory}/memory.failcnt")
    stat = parse_fields(host.attribute(f"{directory}/memory.stat") or "", "memory.stat")
    kills = parse_fields(host.attribute(f"{directory}/memory.oom_control") or "", "memory.oom_control")
    if most:
        allowed = whole(most, "memory.limit_in_bytes")
        view["container_spec_memory_limit_bytes"] = 0 if allowed >= NO_LIMIT else allowed
    if used:
        total = whole(used, "memory.usage_in_bytes")
        view["container_memory_usage_bytes"] = total
        # cAdvisor's definition, as in version 2; `total_` includes the groups below.
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
