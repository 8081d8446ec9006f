"""Restarts: a process, database server, container or machine whose start time is later than it was."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop_analyzer.changes.record import Change, Kind, seen
from perfloop_analyzer.changes.rows import Row, rows_of, steps_of
from perfloop_analyzer.series import service_of
from perfloop_base.kubernetes import with_workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_analyzer.series import Batch

_WHAT: Mapping[str, tuple[str, str]] = {
    "process_start_time_seconds": ("process", "processes"),
    "container_start_time_seconds": ("container", "containers"),
    "redis_start_time_seconds": ("Redis server", "Redis servers"),
    "pg_postmaster_start_time_seconds": ("PostgreSQL server", "PostgreSQL servers"),
    "node_boot_time_seconds": ("machine", "machines"),
}
_BY = "max by (__name__, job, namespace, service, workload, pod, container, instance)"
_IN_POD = with_workload('container_start_time_seconds{pod!="",container!="",container!="POD"}')
QUERY = (
    f'{_BY} ({{__name__=~"{"|".join(_WHAT)}",job!="loadgen"}} unless container_start_time_seconds{{pod!=""}}) '
    # Where kube-state-metrics counts the restarts it says why as well: see rollouts.
    f"or {_BY} ({_IN_POD} unless on (namespace, pod, container) kube_pod_container_status_restarts_total)"
)
CLOCK_SECONDS = 60.0  # what the clocks of two machines may differ by
JITTER_SECONDS = 2.0  # a start time is computed from the time of the boot, which the clock's corrections move
NEW_SECONDS = 300.0
TOGETHER_SECONDS = 120.0  # starts of one service within this time are one change


@dataclass(frozen=True, slots=True)
class _Start:
    at: float
    metric: str
    service: str
    instance: str
    is_again: bool


def find_starts(batch: Batch | None) -> Iterator[Change]:
    """Yield the restarts of services that were there before; those of one service that come together are one."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows_of(batch):
        groups[row.labels.get("__name__", ""), _service(row)].append(row)
    for (metric, service), rows in groups.items():
        if metric in _WHAT:
            starts = sorted(_starts(metric, service, rows), key=lambda one: one.at)
            for cluster in _clusters(starts):
                yield _change(cluster, len(rows))


def _service(row: Row) -> str:
    # The kubelet's series are about a workload; other ones of containers are about the container, not who exposes them.
    of_whom = row.labels.get("container") if not row.labels.get("workload") else ""
    return of_whom or service_of(row.labels)


def _starts(metric: str, service: str, rows: Sequence[Row]) -> Iterator[_Start]:
    first = min(row.index[0] for row in rows)
    for row in rows:
        instance = row.labels.get("pod") or row.labels.get("instance", "")
        for step in steps_of(row):
            # A start time that only moved, because a clock was corrected, lies before what was scraped of it.
            is_new = step.after >= max(step.before + JITTER_SECONDS, step.old_time - CLOCK_SECONDS)
            if is_new:
                at = min(max(step.after, step.old_time), step.new_time)
                yield _Start(at, metric, service, instance, is_again=True)
        started, scraped = float(row.values[0]), float(row.times[0])
        if row.index[0] > first + 1 and 0 <= scraped - started + CLOCK_SECONDS <= NEW_SECONDS + CLOCK_SECONDS:
            yield _Start(min(started, scraped), metric, service, instance, is_again=False)


def _clusters(starts: Sequence[_Start]) -> Iterator[list[_Start]]:
    cluster: list[_Start] = []
    for start in starts:
        if cluster and start.at - cluster[0].at > TOGETHER_SECONDS:
            yield cluster
            cluster = []
        cluster.append(start)
    if cluster:
        yield cluster


def _change(cluster: Sequence[_Start], instances: int) -> Change:
    first = cluster[0]
    one, many = _WHAT[first.metric]
    verb = "restarted" if any(start.is_again for start in cluster) else "started"
    if len(cluster) > 1:
        what = f"{len(cluster)} {many} {verb}"
    else:
        what = f"{one} {verb}" + (f" ({first.instance})" if instances > 1 and first.instance else "")
    return seen(Kind.RESTART, first.service, what, first.at)
