"""Who owns a pod: read from kube-state-metrics, guessed from the name where that says nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.kubernetes import Directory, read_directory
from perfloop_analyzer.kubernetes.owners import stem_of
from perfloop_analyzer.series import Batch, Grid

if TYPE_CHECKING:
    from collections.abc import Mapping

GRID = Grid(0.0, 30.0, 2)
SAFE = "bcdfghjklmnpqrstvwxz2456789"
NAMES = st.from_regex(re.compile(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?"), fullmatch=True)


def batch(name: str, *rows: Mapping[str, str], value: float = 1.0) -> Batch:
    """A batch of one value for each row of labels."""
    labels = tuple({"namespace": "shop", **row} for row in rows)
    return Batch(name, GRID, labels, np.full((len(rows), GRID.points), value))


def directory(**answers: Batch) -> Directory:
    """The directory of some answers, by the last part of their names."""
    return read_directory({f"kubernetes/{name}": one for name, one in answers.items()})


def _pod(pod: str, kind: str, name: str) -> Mapping[str, str]:
    return {"pod": pod, "owner_kind": kind, "owner_name": name}


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("checkout-7d4b9c6f5d-x2x4v", "checkout"),
        ("my-shop-api-7d4b9c6f5d-x2x4v", "my-shop-api"),
        ("agent-vb4x7", "agent"),
        ("db-0", "db"),
        ("db-replica-12", "db-replica"),
        ("etcd-control-plane", "etcd-control-plane"),
        ("busybox", "busybox"),
    ],
)
def test_the_name_of_a_pod_names_its_workload(pod: str, workload: str) -> None:
    """By the forms of Deployments, DaemonSets and StatefulSets; any other name is its own."""
    assert stem_of(pod) == workload


@given(NAMES, st.text(SAFE, min_size=9, max_size=10), st.text(SAFE, min_size=5, max_size=5))
def test_every_pod_of_a_deployment_names_it(name: str, template: str, suffix: str) -> None:
    """Whatever its name and the hashes are."""
    assert stem_of(f"{name}-{template}-{suffix}") == name


def test_a_deployment_owns_the_pods_of_its_replicasets() -> None:
    """Also where the name says something else, and its label is the service."""
    found = directory(
        pods=batch("pods", _pod("search-5c9f8b7d6c-k8k9p", "ReplicaSet", "search-5c9f8b7d6c")),
        replicasets=batch(
            "replicasets", {"replicaset": "search-5c9f8b7d6c", "owner_kind": "Deployment", "owner_name": "search-v2"}
        ),
        names=batch("names", {"pod": "search-5c9f8b7d6c-k8k9p", "label_app_kubernetes_io_name": "search"}),
        containers=batch("containers", {"pod": "search-5c9f8b7d6c-k8k9p", "container": "server"}),
    )
    workload = found.find("shop", "search")
    assert workload is not None
    assert (workload.reference, workload.service, workload.containers) == (
        "deployment/search-v2",
        "search",
        frozenset({"server"}),
    )
    assert found.find("shop", "deployment/search-v2") == workload
    assert found.find("other", "search") is None


def test_a_cron_job_owns_the_pods_of_its_jobs() -> None:
    """Each run has another Job: the CronJob stays."""
    found = directory(
        pods=batch("pods", _pod("backup-29312345-x2x4v", "Job", "backup-29312345")),
        jobs=batch("jobs", {"job_name": "backup-29312345", "owner_kind": "CronJob", "owner_name": "backup"}),
    )
    workload = found.find("shop", stem_of("backup-29312345-x2x4v"))
    assert workload is not None
    assert workload.reference == "cronjob/backup"


@pytest.mark.parametrize(
    "pods",
    [
        pytest.param((_pod("web-7d4b9c6f5d-x2x4v", "ReplicaSet", "web-7d4b9c6f5d"),), id="an unknown ReplicaSet"),
        pytest.param((_pod("web-7d4b9c6f5d-x2x4v", "<none>", "<none>"),), id="nobody, as version 1 writes it"),
        pytest.param((_pod("web-7d4b9c6f5d-x2x4v", "", ""),), id="nobody"),
        pytest.param(
            (_pod("web-0", "StatefulSet", "web"), _pod("web-x2x4v", "DaemonSet", "web")), id="two of one name"
        ),
    ],
)
def test_an_owner_that_is_not_known_is_not_guessed(pods: tuple[Mapping[str, str], ...]) -> None:
    """The service has its name; nothing can be changed by it."""
    workload = directory(pods=batch("pods", *pods)).find("shop", "web")
    assert workload is not None
    assert (workload.kind, workload.service, workload.reference) == ("", "web", "web")


def test_series_of_pods_name_workload_and_service() -> None:
    """What is scraped by others loses their service; what has no workload stays as it is; doubles are the maximum."""
    known = directory(
        pods=batch("pods", _pod("search-5c9f8b7d6c-k8k9p", "StatefulSet", "finder")),
        names=batch("names", {"pod": "search-5c9f8b7d6c-k8k9p", "label_app_kubernetes_io_name": "search"}),
    )
    labels = (
        {"service": "kubelet", "namespace": "shop", "workload": "search", "container": "a"},
        {"service": "state-metrics", "namespace": "shop", "workload": "finder", "container": "a"},
        {"service": "kubelet", "namespace": "shop", "workload": "gone", "container": "a"},
        {"service": "api", "workload": "mine"},
        {"service": "api"},
    )
    named = known.relabel(Batch("x", GRID, labels, np.arange(10.0).reshape(5, 2)))
    assert [(row["service"], row.get("workload")) for row in named.labels] == [
        ("search", "statefulset/finder"),
        ("gone", "gone"),
        ("api", "mine"),
        ("api", None),
    ]
    assert named.values[0].tolist() == [2.0, 3.0]


def test_autoscalers_and_claims_belong_to_a_service() -> None:
    """An autoscaler to what it scales, a claim to the pod that mounts it; without either to itself."""
    known = directory(
        pods=batch("pods", _pod("db-0", "StatefulSet", "db")),
        claims=batch("claims", {"pod": "db-0", "persistentvolumeclaim": "data-db-0"}),
        autoscalers=batch(
            "autoscalers",
            {"horizontalpodautoscaler": "h", "scaletargetref_kind": "StatefulSet", "scaletargetref_name": "db"},
        ),
        largest=batch("largest", {"horizontalpodautoscaler": "h"}, {"horizontalpodautoscaler": "old"}, value=4.0),
    )
    rows = (
        {"namespace": "shop", "persistentvolumeclaim": "data-db-0"},
        {"namespace": "shop", "persistentvolumeclaim": "spare"},
        {"namespace": "shop", "horizontalpodautoscaler": "h"},
        {"namespace": "shop", "horizontalpodautoscaler": "old"},
    )
    named = known.relabel(Batch("x", GRID, rows, np.ones((4, 2))))
    assert [row["service"] for row in named.labels] == ["db", "spare", "db", "old"]
    workload = known.find("shop", "db")
    assert workload is not None
    scaler = known.autoscaler_of(workload)
    assert scaler is not None
    assert (scaler.name, scaler.largest) == ("h", 4)
