"""Patches: what to send to the API server, as YAML that is merged into the object that is there.

A patch names the object and only what changes. Containers are merged by their name (Kubernetes's strategic merge and
server-side apply both do), so that a name that the pod's template does not have would add a container: it must be one
that runs. Nothing is written of an object whose kind has no such merge, or whose name is none that Kubernetes allows.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

# The kinds whose pods are replaced when their template changes, with where the template's pod stands.
_TEMPLATE = ("spec", "template")
_KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Deployment": ("apps/v1", _TEMPLATE),
    "StatefulSet": ("apps/v1", _TEMPLATE),
    "DaemonSet": ("apps/v1", _TEMPLATE),
    "ReplicaSet": ("apps/v1", _TEMPLATE),
    "ReplicationController": ("v1", _TEMPLATE),
    "CronJob": ("batch/v1", ("spec", "jobTemplate", "spec", "template")),
}
SCALED = frozenset({"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"})
# What a mesh puts beside the containers of a template is sized by annotations of the pod.
_INJECTED: Mapping[str, Mapping[tuple[str, str], str]] = {
    "istio-proxy": {
        ("requests", "cpu"): "sidecar.istio.io/proxyCPU",
        ("limits", "cpu"): "sidecar.istio.io/proxyCPULimit",
        ("requests", "memory"): "sidecar.istio.io/proxyMemory",
        ("limits", "memory"): "sidecar.istio.io/proxyMemoryLimit",
    },
    "linkerd-proxy": {
        ("requests", "cpu"): "config.linkerd.io/proxy-cpu-request",
        ("limits", "cpu"): "config.linkerd.io/proxy-cpu-limit",
        ("requests", "memory"): "config.linkerd.io/proxy-memory-request",
        ("limits", "memory"): "config.linkerd.io/proxy-memory-limit",
    },
}
# RFC 1123, as the API server checks names.
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
LEAST_MILLICORES, LEAST_MEBIBYTES = 10, 16

# By what is asked for ("requests", "limits") and its resource ("cpu" in cores, "memory" in bytes).
Resources = Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of one object; `body` is what is merged into it."""

    api_version: str
    kind: str
    namespace: str
    name: str
    body: Mapping[str, Any]

    def as_yaml(self) -> str:
        """The patch as a file for `kubectl patch --patch-file` and `kubectl apply --server-side`."""
        whole = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            **self.body,
        }
        text: str = yaml.safe_dump(whole, sort_keys=False, default_flow_style=False)
        return text

    def command(self) -> str:
        """The command that makes the change."""
        body = shlex.quote(json.dumps(self.body, separators=(",", ":")))
        # A HorizontalPodAutoscaler has no lists here, so that both merges are one.
        return f"kubectl --namespace={self.namespace} patch {self.kind.lower()}/{self.name} --patch={body}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "yaml": self.as_yaml(),
            "command": self.command(),
        }


def patch_resources(kind: str, namespace: str, name: str, container: str, resources: Resources) -> Patch | str:
    """Return the patch that gives a container other requests and limits, or why there is none, as a clause."""
    if problem := _unnameable(namespace, name, container):
        return problem
    if kind not in _KINDS:
        return _without_template(kind)
    api_version, path = _KINDS[kind]
    texts = {key: cpu(value) if key[1] == "cpu" else memory(value) for key, value in resources.items()}
    if container in _INJECTED:
        names = {_INJECTED[container][key]: text for key, text in texts.items()}
        inner: dict[str, Any] = {"metadata": {"annotations": names}}
    else:
        groups: dict[str, dict[str, str]] = {}
        for (group, resource), text in texts.items():
            groups.setdefault(group, {})[resource] = text
        inner = {"spec": {"containers": [{"name": container, "resources": groups}]}}
    return Patch(api_version, kind, namespace, name, _nested(path, inner))


def patch_replicas(kind: str, namespace: str, name: str, replicas: int) -> Patch | str:
    """Return the patch that gives a workload another number of replicas, or why there is none, as a clause."""
    if problem := _unnameable(namespace, name):
        return problem
    if kind not in SCALED:
        return f"a {kind} has no number of replicas" if kind else UNKNOWN_OWNER
    return Patch(_KINDS[kind][0], kind, namespace, name, {"spec": {"replicas": replicas}})


def patch_autoscaler(namespace: str, name: str, bounds: Mapping[str, int]) -> Patch | str:
    """Return the patch of the bounds of a HorizontalPodAutoscaler, or why there is none, as a clause."""
    if problem := _unnameable(namespace, name):
        return problem
    return Patch("autoscaling/v2", "HorizontalPodAutoscaler", namespace, name, {"spec": dict(bounds)})


UNKNOWN_OWNER = "no series says who owns the pods (kube_pod_owner, kube_replicaset_owner)"


def _without_template(kind: str) -> str:
    if not kind:
        return UNKNOWN_OWNER
    if kind in ("Job", "Node", "Pod"):
        return f"the pods of a {kind} cannot be changed while they run"
    return f"a {kind} is of an API whose lists are not merged by name"


def _unnameable(namespace: str, *names: str) -> str:
    if not namespace or not _LABEL.fullmatch(namespace):
        return "its namespace is not known" if not namespace else "its namespace has no name that Kubernetes allows"
    if not all(_NAME.fullmatch(name) for name in names):
        return "it has a name that Kubernetes does not allow"
    return ""


def _nested(path: tuple[str, ...], inner: Mapping[str, Any]) -> dict[str, Any]:
    whole: Any = inner
    for name in reversed(path):
        whole = {name: whole}
    return dict(whole)


def cpu(cores: float) -> str:
    """Return cores as Kubernetes writes them, rounded up to a thousandth: 250m, 2."""
    millicores = max(math.ceil(cores * 1000 - 1e-6), LEAST_MILLICORES)
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def memory(size: float) -> str:
    """Return bytes as Kubernetes writes them, rounded up to a mebibyte: 512Mi, 2Gi."""
    mebibytes = max(math.ceil(size / 2**20 - 1e-6), LEAST_MEBIBYTES)
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
