"""The metrics of one control group, the same for both versions of the kernel's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_exporter.collectors.families import Family, counter, gauge
from perfloop_exporter.collectors.host import lines_of, whole
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.collectors.losses import Losses

# Value by family name.
View = dict[str, float]

FAMILIES: tuple[Family, ...] = (
    counter("container_cpu_usage_seconds_total", "CPU seconds used.", "id", "cpu"),
    counter("container_cpu_user_seconds_total", "CPU seconds used in user mode.", "id"),
    counter("container_cpu_system_seconds_total", "CPU seconds used in the kernel.", "id"),
    gauge("container_spec_cpu_quota", "Microseconds of CPU allowed per period; absent without a limit.", "id"),
    gauge("container_spec_cpu_period", "Microseconds of a period of the CPU limit.", "id"),
    counter("container_cpu_cfs_periods_total", "Periods of the CPU limit that passed.", "id"),
    counter("container_cpu_cfs_throttled_periods_total", "Periods in which the CPU limit was reached.", "id"),
    counter("container_cpu_cfs_throttled_seconds_total", "Seconds throttled by the CPU limit.", "id"),
    gauge("container_spec_memory_limit_bytes", "Most memory allowed, 0 without a limit.", "id"),
    gauge("container_memory_usage_bytes", "Memory used, caches included.", "id"),
    gauge("container_memory_working_set_bytes", "Memory used, without inactive file cache.", "id"),
    gauge("container_memory_cache", "Bytes of page cache.", "id"),
    gauge("container_memory_rss", "Bytes of anonymous memory.", "id"),
    gauge("container_memory_swap", "Bytes of swap used.", "id"),
    counter("container_memory_failcnt", "Times the memory limit was hit.", "id"),
    counter("container_oom_events_total", "Processes killed for want of memory.", "id"),
    gauge("container_threads", "Processes and threads.", "id"),
    gauge("container_threads_max", "Most processes and threads allowed, 0 without a limit.", "id"),
    counter("container_pressure_cpu_waiting_seconds_total", "Seconds in which some task waited for a CPU.", "id"),
    counter("container_pressure_cpu_stalled_seconds_total", "Seconds in which no task ran for want of a CPU.", "id"),
    counter("container_pressure_memory_waiting_seconds_total", "Seconds in which some task waited for memory.", "id"),
    counter(
        "container_pressure_memory_stalled_seconds_total", "Seconds in which no task ran for want of memory.", "id"
    ),
    counter("container_pressure_io_waiting_seconds_total", "Seconds in which some task waited for I/O.", "id"),
    counter("container_pressure_io_stalled_seconds_total", "Seconds in which no task ran for want of I/O.", "id"),
)


def parse_fields(text: str, where: str, losses: Losses) -> dict[str, int]:
    """Parse the flat-keyed format of control group files, lines of `NAME NUMBER`.

    Args:
        text: The file's content.
        where: The file's name, for the error.
        losses: Takes the lines that do not have this form.

    Returns:
        Integers by name, in the file's own unit.
    """
    fields = {}
    for line in lines_of(text):
        name, space, number = line.partition(" ")
        try:
            if not space:
                raise CollectorError(f"{where}: '{line[:60]}' is not a name and a number")  # noqa: TRY301  # as of a bad number
            fields[name] = whole(number, where)
        except CollectorError as error:
            losses.note(error)
    return fields


def smallest(limits: Iterable[int | None]) -> int | None:
    """Return the limit that holds where several do: 0 where none of the groups has one, None without any such file."""
    found = [limit for limit in limits if limit is not None]
    return min((limit for limit in found if limit), default=0) if found else None
