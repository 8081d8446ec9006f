"""Recommendations in Kubernetes's words: requests, limits, replicas and the bounds of an autoscaler, with the patch.

A recommendation about a container or a service of a cluster keeps its text and gets one sentence more, and under
`values.patch` what to send to the API server. Where nobody says who owns the pods there is no patch, and the sentence
says so. Sizes that are raised: the CPU limit to what was used and waited for, and 15% (KRR's margin), at least a fifth
more; the memory limit to the peak and 15%, at least a quarter more than the limit at which processes were killed (KRR's
`oom_memory_buffer_percentage`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.kubernetes.patches import (
    SCALED,
    UNKNOWN_OWNER,
    Patch,
    cpu,
    memory,
    patch_autoscaler,
    patch_replicas,
    patch_resources,
)
from perfloop_analyzer.recommend.capacity import TARGET_UTILISATION
from perfloop_analyzer.recommend.engine import identify
from perfloop_analyzer.recommend.rightsizing import MARGIN
from perfloop_analyzer.series import current
from perfloop_analyzer.waste.sizing import round_up
from perfloop_base.kubernetes import WORKLOAD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_analyzer.kubernetes.owners import Autoscaler, Directory, Workload
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.series import Batch, Floats, Labels

CPU_STEP, KILLED_STEP = 1.2, 1.25
MOST_STEPS = 4.0  # times the limit: one look does not justify more
LEAST_REPLICAS_MORE = 1.5  # of an autoscaler's maximum, where nothing says how many are needed
MEBIBYTE = 2.0**20
# The signals of the catalogue that have the sizes, by what is set and of which resource.
SIZES: Mapping[tuple[str, str], str] = {
    ("requests", "cpu"): "container_cpu_request_cores",
    ("limits", "cpu"): "container_cpu_limit_cores",
    ("requests", "memory"): "container_memory_request_bytes",
    ("limits", "memory"): "container_memory_limit_bytes",
}
INJECTED = frozenset({"istio-proxy", "linkerd-proxy"})


@dataclass(frozen=True, slots=True)
class _Change:
    """What to do, as a sentence without its full stop, and the patch, or why there is none."""

    words: str
    patch: Patch | str


@dataclass(frozen=True, slots=True)
class _Cluster:
    """What advice is read from: the newest answers by signal, and who owns what."""

    batches: Mapping[str, Batch]
    directory: Directory

    def rows(self, signal: str, labels: Labels) -> Floats | None:
        """Return a signal of one container over the window, shape (points,); None where it is not measured."""
        batch = self.batches.get(signal)
        for own, row in zip(batch.labels, batch.values, strict=True) if batch is not None else ():
            if all(own.get(name) == labels.get(name) for name in ("namespace", WORKLOAD, "container")):
                return np.asarray(row, dtype=np.float64)
        return None

    def now(self, signal: str, labels: Labels) -> float | None:
        """Return the newest value of a signal of one container; None where there is none."""
        row = self.rows(signal, labels)
        value = float(current(row[None, :])[0]) if row is not None else math.nan
        return value if math.isfinite(value) else None

    def peak(self, signal: str, labels: Labels) -> float:
        """Return the largest value of a signal of one container in the window; 0 where there is none."""
        row = self.rows(signal, labels)
        known = row[np.isfinite(row)] if row is not None else np.empty(0)
        return float(known.max()) if len(known) else 0.0

    def size(self, group: str, resource: str, labels: Labels) -> float | None:
        """Return a request or a limit that a container has; None without one."""
        return self.now(SIZES[group, resource], labels)


def advise(
    recommendations: Iterable[Recommendation], batches: Mapping[str, Batch], directory: Directory
) -> tuple[Recommendation, ...]:
    """Return recommendations in Kubernetes's words where they are about something that runs there.

    A CPU request is not lowered of what a HorizontalPodAutoscaler scales by its share: it would start more replicas.

    Args:
        recommendations: Of one cycle.
        batches: The answers that it was made from, by signal.
        directory: Who owns which pod.
    """
    cluster = _Cluster(batches, directory)
    found = []
    for one in recommendations:
        labels = _labels_of(one)
        if one.rule in HELD_BY and _is_held(cluster, labels, HELD_BY[one.rule]):
            continue
        change = CHANGES[one.rule](one, labels, cluster) if one.rule in CHANGES else None
        found.append(_with(one, change) if change else one)
    return tuple(found)


def _with(one: Recommendation, change: _Change) -> Recommendation:
    if isinstance(change.patch, str):
        action = f"{one.action} In Kubernetes: {change.words}; there is no patch: {change.patch}."
        return replace(one, action=action)
    action = f"{one.action} In Kubernetes: {change.words}: {change.patch.command()}"
    return replace(one, action=action, values={**one.values, "patch": change.patch.as_dict()})


def _labels_of(one: Recommendation) -> Labels:
    """Return the labels of what a recommendation is about: among its evidence there are other findings as well."""
    known = [item["labels"] for item in one.evidence if isinstance(item.get("labels"), Mapping)]
    own = (labels for labels in known if identify(one.rule, one.service, labels) == one.id)
    return next(own, next(iter(known), {}))


def _is_held(cluster: _Cluster, labels: Labels, resource: str) -> bool:
    workload = cluster.directory.find(labels.get("namespace", ""), labels.get(WORKLOAD, ""))
    scaler = cluster.directory.autoscaler_of(workload) if workload else None
    return scaler is not None and resource in scaler.resources


def _resources(cluster: _Cluster, labels: Labels, resource: str, wanted: Mapping[str, float]) -> _Change | None:
    """Return the change of a container's requests and limits that leaves them valid: no request is above its limit."""
    if not labels.get(WORKLOAD):
        return None
    both = {group: cluster.size(group, resource, labels) for group in ("requests", "limits")}
    sizes = dict(wanted)
    limit, request = sizes.get("limits"), both["requests"]
    if limit is not None and "requests" not in sizes and request is not None:
        # A container with equal ones is guaranteed what it asks for, and stays so.
        is_guaranteed = request == both["limits"] and limit > request
        sizes |= {"requests": limit} if request > limit or is_guaranteed else {}
    shown = cpu if resource == "cpu" else memory
    parts = [
        f"resources.{group}.{resource} of {labels.get('container')} to {shown(size)}" for group, size in sizes.items()
    ]
    keys = {(group, resource): size for group, size in sizes.items()}
    return _Change(f"set {' and '.join(parts)}", _patch_container(cluster, labels, keys))


def _patch_container(cluster: _Cluster, labels: Labels, sizes: Mapping[tuple[str, str], float]) -> Patch | str:
    namespace, container = labels.get("namespace", ""), labels.get("container", "")
    workload = cluster.directory.find(namespace, labels.get(WORKLOAD, ""))
    if workload is None or not workload.kind:
        return UNKNOWN_OWNER
    if workload.containers and container not in workload.containers | INJECTED:
        known = ", ".join(sorted(workload.containers))
        return f"{container} is none of the containers that the pod's template is known to run ({known})"
    return patch_resources(workload.kind, namespace, workload.name, container, sizes)


def _smaller(group: str, resource: str) -> Callable[[Recommendation, Labels, _Cluster], _Change | None]:
    """Return what says a size that waste leads to."""

    def change(one: Recommendation, labels: Labels, cluster: _Cluster) -> _Change | None:
        resize: Any = one.values.get("resize")
        return _resources(cluster, labels, resource, {group: float(resize["to"])}) if resize else None

    return change


def _more_cpu(one: Recommendation, labels: Labels, cluster: _Cluster) -> _Change | None:
    """The CPU limit that would not have throttled."""
    del one
    limit = cluster.size("limits", "cpu", labels)
    if limit is None:
        words = f"raise resources.limits.cpu of {labels.get('container', 'the container')}, or set none"
        return _Change(words, "its limit is not measured") if labels.get(WORKLOAD) else None
    needed = (cluster.peak("kube_cpu_cores_used", labels) + cluster.peak("kube_cpu_wait_cores", labels)) * MARGIN
    wanted = min(max(needed, limit * CPU_STEP), limit * MOST_STEPS)
    return _resources(cluster, labels, "cpu", {"limits": round_up(wanted)})


def _more_memory(one: Recommendation, labels: Labels, cluster: _Cluster) -> _Change | None:
    """The memory limit at which nothing would have been killed."""
    del one
    limit = cluster.size("limits", "memory", labels)
    if limit is None:
        words = f"set resources.requests.memory of {labels.get('container', 'the container')} to what it uses"
        reason = "it has no limit that is measured: the node itself was short of memory"
        return _Change(words, reason) if labels.get(WORKLOAD) else None
    peak = cluster.peak("kube_memory_used_bytes", labels) * MARGIN
    wanted = min(max(peak, limit * KILLED_STEP), limit * MOST_STEPS)
    return _resources(cluster, labels, "memory", {"limits": round_up(wanted / MEBIBYTE) * MEBIBYTE})


def _higher_maximum(one: Recommendation, labels: Labels, cluster: _Cluster) -> _Change | None:
    """A larger maxReplicas of an autoscaler that has reached it."""
    del one
    namespace, name = labels.get("namespace", ""), labels.get("horizontalpodautoscaler", "")
    scaler = cluster.directory.autoscalers.get((namespace, name))
    if scaler is None or scaler.largest is None:
        return _Change(f"raise maxReplicas of {name or 'the autoscaler'}", "its maximum is not measured")
    wanted = math.ceil(scaler.largest * LEAST_REPLICAS_MORE)
    words = f"set maxReplicas of {name} to {wanted}, now {scaler.largest}"
    return _Change(words, patch_autoscaler(namespace, name, {"maxReplicas": wanted}))


def _more_replicas(one: Recommendation, labels: Labels, cluster: _Cluster) -> _Change | None:
    """The replicas at which the CPU limit is used as much as an autoscaler usually aims at."""
    workload = cluster.directory.find(labels.get("namespace", ""), labels.get(WORKLOAD, ""))
    used = cluster.now("kube_cpu_limit_used_ratio", labels)
    if workload is None or not workload.kind:
        return _Change("add replicas", UNKNOWN_OWNER) if labels.get(WORKLOAD) else None
    if workload.kind not in SCALED or used is None:
        return _more_cpu(one, labels, cluster)
    wanted = max(workload.pods + 1, math.ceil(workload.pods * used / TARGET_UTILISATION))
    return _scaled(cluster, workload, wanted)


def _fewer_replicas(one: Recommendation, labels: Labels, cluster: _Cluster) -> _Change | None:
    """The replicas that waste leads to, of the one workload that a service is."""
    del labels
    resize: Any = one.values.get("resize")
    workloads = [each for each in cluster.directory.of_service(one.service) if each.kind in SCALED]
    return _scaled(cluster, workloads[0], int(resize["to"])) if len(workloads) == 1 and resize else None


def _scaled(cluster: _Cluster, workload: Workload, wanted: int) -> _Change:
    """Return the change to a number of replicas: of the autoscaler where one decides it, which would undo another."""
    scaler = cluster.directory.autoscaler_of(workload)
    if scaler is None:
        patch = patch_replicas(workload.kind, workload.namespace, workload.name, wanted)
        return _Change(f"set spec.replicas of {workload.reference} to {wanted}, now {workload.pods}", patch)
    bounds = _bounds(scaler, workload.pods, wanted)
    if not bounds:
        return _Change(
            f"{scaler.name} decides the replicas of {workload.reference}, within its bounds",
            "change the use that it aims at, not their number",
        )
    words = " and ".join(f"{name} of {scaler.name} to {value}" for name, value in bounds.items())
    return _Change(f"set {words}", patch_autoscaler(scaler.namespace, scaler.name, bounds))


def _bounds(scaler: Autoscaler, pods: int, wanted: int) -> dict[str, int]:
    if wanted > pods:
        higher = {"maxReplicas": wanted} if scaler.largest is not None and wanted > scaler.largest else {}
        return {"minReplicas": wanted, **higher}
    return {"minReplicas": wanted} if scaler.smallest is not None and wanted < scaler.smallest else {}


# By rule; the rules of waste are in waste.kinds, the others in recommend/rules.
CHANGES: Mapping[str, Callable[[Recommendation, Labels, _Cluster], _Change | None]] = {
    "container_throttled": _more_cpu,
    "container_cpu_full": _more_replicas,
    "container_killed": _more_memory,
    "container_memory_full": _more_memory,
    "autoscaler_at_maximum": _higher_maximum,
    "waste_container_cpu": _smaller("limits", "cpu"),
    "waste_container_memory": _smaller("limits", "memory"),
    "waste_cpu_request": _smaller("requests", "cpu"),
    "waste_memory_request": _smaller("requests", "memory"),
    "waste_replicas": _fewer_replicas,
}
# What an autoscaler holds by the share of a request: the resource, by rule.
HELD_BY: Mapping[str, str] = {"waste_cpu_request": "cpu", "waste_memory_request": "memory"}
