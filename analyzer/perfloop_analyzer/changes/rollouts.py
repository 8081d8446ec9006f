"""What was changed in a Kubernetes cluster, as kube-state-metrics shows it.

A workload went to another image, or rolled out a new template (a ReplicaSet, a revision, a generation); a container was
restarted, with the reason; an autoscaler got other bounds. The rows name the workload, and the service that it is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfloop_analyzer.changes.record import Change, Kind, seen
from perfloop_analyzer.changes.rows import Row, rows_of, steps_of
from perfloop_analyzer.series import service_of
from perfloop_base.kubernetes import by_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from perfloop_analyzer.series import Batch

_HPA = 'label_replace(kube_hpa_spec_{bound}_replicas, "horizontalpodautoscaler", "$1", "hpa", "(.+)")'
IMAGES = by_workload('kube_pod_container_info{image!=""}', ("container", "image"), "group")
# A ReplicaSet of a Deployment is one template; a StatefulSet names its revision, a DaemonSet counts its generations.
TEMPLATES = (
    "group by (namespace, workload, replicaset, revision) ("
    'label_replace(kube_replicaset_owner{owner_kind="Deployment"}, "workload", "$1", "owner_name", "(.+)") '
    'or label_replace(kube_statefulset_status_update_revision, "workload", "$1", "statefulset", "(.+)"))'
)
GENERATIONS = (
    "max by (namespace, workload) "
    '(label_replace(kube_daemonset_metadata_generation, "workload", "$1", "daemonset", "(.+)"))'
)
RESTARTS = by_workload("kube_pod_container_status_restarts_total", ("container", "pod"))
REASONS = by_workload("kube_pod_container_status_last_terminated_reason == 1", ("container", "pod", "reason"))
BOUNDS = (
    "max by (namespace, horizontalpodautoscaler, bound) ("
    "label_replace(kube_horizontalpodautoscaler_spec_max_replicas "
    f'or {_HPA.format(bound="max")}, "bound", "maximum", "", "") '
    "or label_replace(kube_horizontalpodautoscaler_spec_min_replicas "
    f'or {_HPA.format(bound="min")}, "bound", "minimum", "", ""))'
)
TOGETHER_SECONDS = 120.0  # what happens to the pods of one workload within this time is one change
AWAY_POINTS = 4  # an image that was away for so many points is a new one: it was rolled back

Owner = tuple[str, ...]


def find_rollouts(images: Batch | None, templates: Batch | None, generations: Batch | None) -> Iterator[Change]:
    """Yield the images and templates that appeared where another one was; an image says more than a template."""
    found = list(_of_images(images))
    yield from found
    for change in (*_of_templates(templates), *_of_generations(generations)):
        if not any(_is_same_rollout(change, other) for other in found):
            found.append(change)
            yield change


def find_restarts(restarts: Batch | None, reasons: Batch | None) -> Iterator[Change]:
    """Yield the restarts of containers, with what ended them; those of one workload that come together are one."""
    ended: Mapping[Owner, str] = {_pod(row): row.labels.get("reason", "") for row in rows_of(reasons)}
    times: dict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for row in rows_of(restarts):
        for step in steps_of(row):
            if step.after > step.before:
                key = service_of(row.labels), row.labels.get("container", "")
                times[key].append((step.new_time, ended.get(_pod(row), "")))
    for (service, container), moments in times.items():
        for cluster in _clusters(sorted(moments)):
            yield seen(Kind.RESTART, service, _restarted(container, cluster), cluster[0][0])


def find_bounds(bounds: Batch | None) -> Iterator[Change]:
    """Yield the other bounds of autoscalers."""
    for row in rows_of(bounds):
        name = row.labels.get("horizontalpodautoscaler", "")
        for step in steps_of(row):
            words = f"{row.labels.get('bound', 'bound')} of the autoscaler {name}"
            title = f"{words} from {step.before:g} to {step.after:g} replicas"
            yield seen(Kind.SCALE, service_of(row.labels), title, step.new_time)


def _of_images(batch: Batch | None) -> Iterator[Change]:
    for rows in _by_owner(batch, ("namespace", "workload", "container")).values():
        for row, others in _with_others(rows):
            for at, old in _appearances(row, others):
                was = sorted({_tag(one) for one in old} - {_tag(row)})
                came = f"went from {was[0]} to {_tag(row)}" if len(was) == 1 else f"went to {_tag(row)}"
                yield seen(Kind.DEPLOYMENT, service_of(row.labels), came, at)


def _of_templates(batch: Batch | None) -> Iterator[Change]:
    for rows in _by_owner(batch, ("namespace", "workload")).values():
        for row, others in _with_others(rows):
            name = row.labels.get("replicaset") or row.labels.get("revision", "")
            for at, _ in _appearances(row, others):
                yield seen(Kind.DEPLOYMENT, service_of(row.labels), f"rolled out a new template ({name})", at)


def _of_generations(batch: Batch | None) -> Iterator[Change]:
    for row in rows_of(batch):
        for step in steps_of(row):
            if step.after > step.before:
                title = f"its specification was changed (generation {step.after:g})"
                yield seen(Kind.DEPLOYMENT, service_of(row.labels), title, step.new_time)


def _by_owner(batch: Batch | None, names: Iterable[str]) -> Mapping[Owner, list[Row]]:
    owners: dict[Owner, list[Row]] = defaultdict(list)
    for row in rows_of(batch):
        owners[tuple(row.labels.get(name, "") for name in names)].append(row)
    return owners


def _with_others(rows: Sequence[Row]) -> Iterator[tuple[Row, list[Row]]]:
    for row in rows if len(rows) > 1 else ():
        yield row, [other for other in rows if other is not row]


def _appearances(row: Row, others: Sequence[Row]) -> Iterator[tuple[float, list[Row]]]:
    """Yield the moments from which a row is there again, with the others that were there before."""
    there = set(row.index)
    for place, index in enumerate(row.index):
        before = range(index - AWAY_POINTS, index)
        if index == 0 or there.intersection(before):
            continue
        if old := [other for other in others if set(other.index).intersection(before)]:
            yield float(row.times[place]), old


def _tag(row: Row) -> str:
    """Return the end of an image's name: its registry's path is long; of a digest the first digits are enough."""
    name, _, digest = row.labels.get("image", "").rpartition("/")[2].partition("@")
    return f"{name}@{digest.partition(':')[2][:12]}" if digest else name


def _pod(row: Row) -> Owner:
    return tuple(row.labels.get(name, "") for name in ("namespace", "pod", "container"))


def _clusters(moments: Sequence[tuple[float, str]]) -> Iterator[list[tuple[float, str]]]:
    cluster: list[tuple[float, str]] = []
    for moment in moments:
        if cluster and moment[0] - cluster[0][0] > TOGETHER_SECONDS:
            yield cluster
            cluster = []
        cluster.append(moment)
    if cluster:
        yield cluster


def _restarted(container: str, cluster: Sequence[tuple[float, str]]) -> str:
    reasons = sorted({reason for _, reason in cluster if reason})
    times = f" {len(cluster)} times" if len(cluster) > 1 else ""
    return f"container {container} restarted{times}" + (f" ({', '.join(reasons)})" if reasons else "")


def _is_same_rollout(one: Change, other: Change) -> bool:
    return one.service == other.service and abs(one.at - other.at) <= TOGETHER_SECONDS
