"""Who owns a pod: the Deployment, StatefulSet, DaemonSet or CronJob behind it, and the service that it is.

Read from kube-state-metrics. A ReplicaSet that a Deployment owns is the Deployment's, a Job that a CronJob owns the
CronJob's. The service is the pod's label app.kubernetes.io/name where kube-state-metrics shows it
(--metric-labels-allowlist=pods=[app.kubernetes.io/name]), else the workload's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.series import Batch, current
from perfloop_base.kubernetes import WORKLOAD, WORKLOAD_OF_POD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from perfloop_analyzer.series import Labels

POD_NAME = re.compile(WORKLOAD_OF_POD)
AUTOSCALER, CLAIM = "horizontalpodautoscaler", "persistentvolumeclaim"
_HPA = 'label_replace(kube_hpa_{name}, "horizontalpodautoscaler", "$1", "hpa", "(.+)")'
# Names of kube-state-metrics 2, and those of 1 that differ.
OWNER_QUERIES: Mapping[str, str] = {
    "kubernetes/pods": "max by (namespace, pod, owner_kind, owner_name) (kube_pod_owner)",
    "kubernetes/replicasets": "max by (namespace, replicaset, owner_kind, owner_name) (kube_replicaset_owner)",
    "kubernetes/jobs": "max by (namespace, job_name, owner_kind, owner_name) (kube_job_owner)",
    "kubernetes/names": (
        'max by (namespace, pod, label_app_kubernetes_io_name) (kube_pod_labels{label_app_kubernetes_io_name!=""})'
    ),
    "kubernetes/containers": "max by (namespace, pod, container) (kube_pod_container_info)",
    "kubernetes/claims": (
        "max by (namespace, pod, persistentvolumeclaim) (kube_pod_spec_volumes_persistentvolumeclaims_info)"
    ),
    "kubernetes/autoscalers": (
        "max by (namespace, horizontalpodautoscaler, scaletargetref_kind, scaletargetref_name) "
        "(kube_horizontalpodautoscaler_info)"
    ),
    "kubernetes/targets": (
        "max by (namespace, horizontalpodautoscaler, metric_name) "
        '(kube_horizontalpodautoscaler_spec_target_metric{metric_target_type="utilization"})'
    ),
    "kubernetes/smallest": (
        "max by (namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_spec_min_replicas or "
        f"{_HPA.format(name='spec_min_replicas')})"
    ),
    "kubernetes/largest": (
        "max by (namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_spec_max_replicas or "
        f"{_HPA.format(name='spec_max_replicas')})"
    ),
}
_NOBODY = frozenset({"", "<none>"})

Key = tuple[str, str]  # a namespace, and a name in it


@dataclass(frozen=True, slots=True)
class Workload:
    """What pods belong to.

    Attributes:
        kind: As Kubernetes writes it, such as Deployment; empty where the owner is not known.
        service: What the rest of the stack calls it.
        containers: The containers of its pods; empty where they are not known.
        pods: How many there are.
    """

    namespace: str
    kind: str
    name: str
    service: str
    containers: frozenset[str] = frozenset()
    pods: int = 0

    @property
    def reference(self) -> str:
        """What the label `workload` says: `deployment/checkout` as kubectl has it, or the bare name."""
        return f"{self.kind.lower()}/{self.name}" if self.kind else self.name


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler: what it scales, between which numbers, and the resources whose use it holds.

    `kind` and `target` are empty where kube-state-metrics does not say them, as version 1 does not.
    """

    namespace: str
    name: str
    kind: str = ""
    target: str = ""
    smallest: int | None = None
    largest: int | None = None
    resources: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Directory:
    """The workloads by the stem of their pods' names and by their own, and the autoscalers by name."""

    stems: Mapping[Key, Workload] = field(default_factory=dict)
    names: Mapping[Key, Workload] = field(default_factory=dict)
    claims: Mapping[Key, str] = field(default_factory=dict)
    autoscalers: Mapping[Key, Autoscaler] = field(default_factory=dict)

    def find(self, namespace: str, name: str) -> Workload | None:
        """Return a workload by the stem of its pods' names, by its own name, or by its reference."""
        bare = name.rpartition("/")[2]
        if "/" in name:
            found = self.names.get((namespace, bare))
            return found if found and found.reference == name else self._by_reference(namespace, name)
        return self.stems.get((namespace, name)) or self.names.get((namespace, name))

    def _by_reference(self, namespace: str, reference: str) -> Workload | None:
        known = (*self.stems.values(), *self.names.values())
        return next((one for one in known if (one.namespace, one.reference) == (namespace, reference)), None)

    def of_service(self, service: str) -> tuple[Workload, ...]:
        """Return the workloads whose owner is known, of a service."""
        known = {one.reference: one for one in self.stems.values() if one.service == service and one.kind}
        return tuple(known.values())

    def autoscaler_of(self, workload: Workload) -> Autoscaler | None:
        """Return what scales a workload; None where nothing does, or it is not known."""
        wanted = (workload.namespace, workload.kind, workload.name)
        return next((one for one in self.autoscalers.values() if (one.namespace, one.kind, one.target) == wanted), None)

    def relabel(self, batch: Batch) -> Batch:
        """Return a batch whose series name the service and the workload; what becomes one series is its maximum."""
        if not any(is_of_pods(labels) for labels in batch.labels):
            return batch
        rows: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
        for row, labels in enumerate(batch.labels):
            rows[tuple(sorted(self._named(labels).items()))].append(row)
        values = np.vstack([np.fmax.reduce(batch.values[own], axis=0) for own in rows.values()])
        return replace(batch, labels=tuple(dict(labels) for labels in rows), values=values)

    def _named(self, labels: Labels) -> Labels:
        namespace = labels.get("namespace", "")
        if not namespace:
            return labels  # something else has a label of this name
        if name := labels.get(WORKLOAD):
            found = self.find(namespace, name)
            return {**labels, **_names_of(found, name)}
        if name := labels.get(AUTOSCALER):
            scaler = self.autoscalers.get((namespace, name))
            found = self.find(namespace, scaler.target) if scaler and scaler.target else None
            return {**labels, "service": found.service if found else (scaler and scaler.target) or name}
        if name := labels.get(CLAIM):
            return {**labels, "service": self.claims.get((namespace, name), name)}
        return labels


def _names_of(found: Workload | None, name: str) -> Mapping[str, str]:
    if found is None:
        return {WORKLOAD: name, "service": name.rpartition("/")[2]}
    return {WORKLOAD: found.reference, "service": found.service}


def is_of_pods(labels: Labels) -> bool:
    """Return whether a series is about something of a cluster that belongs to a workload."""
    return bool(labels.get("namespace")) and any(labels.get(name) for name in (WORKLOAD, AUTOSCALER, CLAIM))


def read_directory(batches: Mapping[str, Batch]) -> Directory:
    """Return the directory that the answers to OWNER_QUERIES give; what was not answered is not known."""
    replicasets = _owned(batches.get("kubernetes/replicasets"), "replicaset")
    jobs = _owned(batches.get("kubernetes/jobs"), "job_name")
    named = {_key(row, "pod"): row["label_app_kubernetes_io_name"] for row in _rows(batches.get("kubernetes/names"))}
    containers = _gathered(batches.get("kubernetes/containers"), "pod", "container")
    pods: dict[Key, list[Workload]] = defaultdict(list)
    of_pod: dict[Key, Workload] = {}
    for (namespace, pod), owner in _owned(batches.get("kubernetes/pods"), "pod").items():
        kind, name = _top(namespace, owner, replicasets, jobs)
        stem = stem_of(pod)
        service = named.get((namespace, pod)) or name or stem
        own = containers.get((namespace, pod), frozenset())
        workload = Workload(namespace, kind, name or stem, service, own, 1)
        pods[namespace, stem].append(workload)
        of_pod[namespace, pod] = workload
    stems = {key: _merged(key, found) for key, found in pods.items()}
    names = {(one.namespace, one.name): one for one in stems.values()}
    claims = {
        _key(row, CLAIM): of_pod[_key(row, "pod")].service
        for row in _rows(batches.get("kubernetes/claims"))
        if _key(row, "pod") in of_pod
    }
    return Directory(stems, names, claims, _autoscalers(batches))


def stem_of(pod: str) -> str:
    """Return the workload that a pod's name names; the pod itself where its name has none of the forms."""
    found = POD_NAME.fullmatch(pod)
    return found[1] if found else pod


def _top(namespace: str, owner: Key, replicasets: Mapping[Key, Key], jobs: Mapping[Key, Key]) -> Key:
    """Return the kind and name of what a pod's owner belongs to; the kind is empty where that is not known."""
    kind, name = owner
    if kind in _NOBODY:
        return "", ""
    above = {"ReplicaSet": replicasets, "Job": jobs}.get(kind)
    if above is None:
        return kind, name
    if (namespace, name) not in above:
        # Nobody says whether a Deployment owns the ReplicaSet: a change of it would be undone then.
        return "", ""
    upper = above[namespace, name]
    return owner if upper[0] in _NOBODY else upper


def _merged(key: Key, found: list[Workload]) -> Workload:
    """Return what all pods of one stem belong to; with several owners none of them is known."""
    owners = {(one.kind, one.name) for one in found}
    services = sorted({one.service for one in found})
    containers = frozenset().union(*(one.containers for one in found))
    kind, name = owners.pop() if len(owners) == 1 else ("", key[1])
    service = services[0] if len(services) == 1 or kind else key[1]
    return Workload(key[0], kind, name, service, containers, len(found))


def _autoscalers(batches: Mapping[str, Batch]) -> Mapping[Key, Autoscaler]:
    smallest, largest = (_numbers(batches.get(f"kubernetes/{name}")) for name in ("smallest", "largest"))
    resources = _gathered(batches.get("kubernetes/targets"), AUTOSCALER, "metric_name")
    about = {_key(row, AUTOSCALER): row for row in _rows(batches.get("kubernetes/autoscalers"))}
    return {
        (namespace, name): Autoscaler(
            namespace,
            name,
            about.get((namespace, name), {}).get("scaletargetref_kind", ""),
            about.get((namespace, name), {}).get("scaletargetref_name", ""),
            smallest.get((namespace, name)),
            largest.get((namespace, name)),
            resources.get((namespace, name), frozenset()),
        )
        for namespace, name in {*about, *smallest, *largest}
    }


def _key(labels: Labels, name: str) -> Key:
    return labels.get("namespace", ""), labels.get(name, "")


def _rows(batch: Batch | None) -> Iterator[Labels]:
    """Yield the labels of the series that have a value now."""
    if batch is not None:
        there = np.isfinite(current(batch.values))
        yield from (labels for labels, is_there in zip(batch.labels, there, strict=True) if is_there)


def _owned(batch: Batch | None, name: str) -> dict[Key, Key]:
    return {_key(row, name): (row.get("owner_kind", ""), row.get("owner_name", "")) for row in _rows(batch)}


def _gathered(batch: Batch | None, name: str, value: str) -> dict[Key, frozenset[str]]:
    found: dict[Key, set[str]] = defaultdict(set)
    for row in _rows(batch):
        found[_key(row, name)].add(row.get(value, ""))
    return {key: frozenset(values) for key, values in found.items()}


def _numbers(batch: Batch | None) -> dict[Key, int]:
    if batch is None:
        return {}
    pairs: Iterable[tuple[Labels, float]] = zip(batch.labels, current(batch.values), strict=True)
    return {_key(labels, AUTOSCALER): int(value) for labels, value in pairs if np.isfinite(value)}
