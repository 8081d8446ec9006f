"""Control groups version 1: one directory per controller (kernel: Documentation/admin-guide/cgroup-v1/)."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from perfloop_exporter.collectors.cgroup_v2 import read_tasks
from perfloop_exporter.collectors.cgroup_view import View, parse_fields, smallest
from perfloop_exporter.collectors.host import whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_exporter.collectors.host import Host
    from perfloop_exporter.collectors.losses import Losses

CONTROLLERS = ("cpu", "cpuacct", "memory", "pids")
NANOSECONDS = 1_000_000_000
# "No limit" is written as the largest multiple of the page size below 2^63 bytes.
NO_LIMIT = 1 << 62


def read_view(host: Host, lineages: Mapping[str, Sequence[str]], losses: Losses) -> View:
    """Read one group.

    Args:
        host: The machine.
        lineages: For each of CONTROLLERS the directory of the group, then those of the groups above it: a limit may be
            set on any of these.
        losses: Takes what cannot be read.

    Returns:
        Values by family name; files that do not exist are left out.
    """
    view: View = {}
    _usage(host, lineages["cpuacct"][0], view, losses)
    _quota(host, lineages["cpu"], view, losses)
    _memory(host, lineages["memory"], view, losses)
    read_tasks(host, lineages["pids"], view, losses)
    return view


def _usage(host: Host, directory: str, view: View, losses: Losses) -> None:
    used = host.attribute(f"{directory}/cpuacct.usage")
    with losses:
        if used:
            view["container_cpu_usage_seconds_total"] = whole(used, "cpuacct.usage") / NANOSECONDS
    ticks = parse_fields(host.attribute(f"{directory}/cpuacct.stat") or "", "cpuacct.stat", losses)
    for mode in ("user", "system"):
        if mode in ticks:
            view[f"container_cpu_{mode}_seconds_total"] = ticks[mode] / host.clock_ticks


def _quota(host: Host, lineage: Sequence[str], view: View, losses: Losses) -> None:
    quotas: list[tuple[Fraction, int, int, str]] = []
    for directory in reversed(lineage):
        with losses:
            period = whole(host.attribute(f"{directory}/cpu.cfs_period_us") or "0", "cpu.cfs_period_us")
            quota = whole(host.attribute(f"{directory}/cpu.cfs_quota_us") or "-1", "cpu.cfs_quota_us")
            if period > 0:
                view["container_spec_cpu_period"] = period
                if quota >= 0:
                    quotas.append((Fraction(quota, period), quota, period, directory))
    place = lineage[0]
    if quotas:
        _, view["container_spec_cpu_quota"], view["container_spec_cpu_period"], place = min(quotas)
    # The kernel counts where the quota is set.
    stat = parse_fields(host.attribute(f"{place}/cpu.stat") or "", "cpu.stat", losses)
    if "nr_periods" in stat:
        view["container_cpu_cfs_periods_total"] = stat["nr_periods"]
        view["container_cpu_cfs_throttled_periods_total"] = stat.get("nr_throttled", 0)
        view["container_cpu_cfs_throttled_seconds_total"] = stat.get("throttled_time", 0) / NANOSECONDS


def _limit(host: Host, directory: str, losses: Losses) -> int | None:
    text = host.attribute(f"{directory}/memory.limit_in_bytes")
    with losses:
        allowed = whole(text, "memory.limit_in_bytes") if text else None
        return 0 if allowed is not None and allowed >= NO_LIMIT else allowed
    return None


def _memory(host: Host, lineage: Sequence[str], view: View, losses: Losses) -> None:
    directory = lineage[0]
    stat = parse_fields(host.attribute(f"{directory}/memory.stat") or "", "memory.stat", losses)
    kills = parse_fields(host.attribute(f"{directory}/memory.oom_control") or "", "memory.oom_control", losses)
    most = smallest([_limit(host, place, losses) for place in lineage])
    if most is not None:
        view["container_spec_memory_limit_bytes"] = most
    used = host.attribute(f"{directory}/memory.usage_in_bytes")
    with losses:
        if used:
            total = whole(used, "memory.usage_in_bytes")
            view["container_memory_usage_bytes"] = total
            # cAdvisor's definition, as in version 2; `total_` includes the groups below.
            view["container_memory_working_set_bytes"] = max(total - stat.get("total_inactive_file", 0), 0)
    failed = host.attribute(f"{directory}/memory.failcnt")
    with losses:
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
