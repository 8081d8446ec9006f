"""Patches in a real API server: merged as they are, into one container, and nothing else of the object changes.

`make kubernetes-tools` builds the servers; without them the tests are skipped.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop_analyzer.kubernetes.patches import Patch, patch_autoscaler, patch_replicas, patch_resources
from tests.support.kubernetes import Cluster, run_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kubernetes"), pytest.mark.timeout(300)]
SHOP = "shop"
CONTAINERS = [
    {
        "name": "server",
        "image": "shop/checkout:1.3",
        "env": [{"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "128Mi"}},
    },
    {"name": "logs", "image": "shop/logs:2"},
]
SIZES = {("requests", "cpu"): 0.25, ("limits", "memory"): 256 * 2.0**20}


def _template() -> dict[str, Any]:
    spec = {"containers": copy.deepcopy(CONTAINERS), "restartPolicy": "Always"}
    return {"metadata": {"labels": {"app": "web"}}, "spec": spec}


def _workload(kind: str) -> tuple[str, dict[str, Any]]:
    """The path of a kind of object, and one of it."""
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": "web"}}, "template": _template()}
    if kind == "StatefulSet":
        spec["serviceName"] = "web"
    if kind == "CronJob":
        template = _template()
        template["spec"]["restartPolicy"] = "Never"
        spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}
    version = "batch/v1" if kind == "CronJob" else "apps/v1"
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "web", "namespace": SHOP}, "spec": spec}
    return f"/apis/{version}/namespaces/{SHOP}/{kind.lower()}s", document


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a Deployment, a StatefulSet, a DaemonSet, a CronJob and an autoscaler."""
    with run_cluster(tmp_path_factory.mktemp("cluster")) as started:
        started.make_namespace(SHOP)
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob"):
            path, document = _workload(kind)
            assert started.create(path, document).is_success
        scaler = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": SHOP},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1,
                "maxReplicas": 4,
            },
        }
        assert started.create(_scalers(), scaler).is_success
        yield started


def _scalers() -> str:
    return f"/apis/autoscaling/v2/namespaces/{SHOP}/horizontalpodautoscalers"


def _apply(cluster: Cluster, path: str, patch: Patch | str, how: str) -> Any:
    """The object after a patch, as kubectl sends it: merged, or applied by the server."""
    assert isinstance(patch, Patch), patch
    content = {"merge": "application/strategic-merge-patch+json", "apply": "application/apply-patch+yaml"}[how]
    asked = {"fieldValidation": "Strict", "dryRun": "All"}
    asked |= {"fieldManager": "somebody", "force": "true"} if how == "apply" else {}
    answer = cluster.client.patch(
        f"{path}/web", params=asked, content=_as_json(patch), headers={"Content-Type": content}
    )
    assert answer.is_success, answer.text
    return answer.json()


def _as_json(patch: Patch) -> bytes:
    """The patch as kubectl sends what it reads from a file of YAML."""
    return json.dumps(yaml.safe_load(patch.as_yaml())).encode()


def _containers(made: Any) -> list[dict[str, Any]]:
    spec = made["spec"].get("jobTemplate", made)["spec"]
    found: list[dict[str, Any]] = spec["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("how", ["merge", "apply"])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "CronJob"])
def test_one_container_gets_its_sizes(cluster: Cluster, kind: str, how: str) -> None:
    """The other sizes, the image and the container beside it stay."""
    path, _ = _workload(kind)
    before = _containers(cluster.get(f"{path}/web"))
    after = _containers(_apply(cluster, path, patch_resources(kind, SHOP, "web", "server", SIZES), how))
    expected = copy.deepcopy(before)
    expected[0]["resources"]["requests"]["cpu"] = "250m"
    expected[0]["resources"]["limits"]["memory"] = "256Mi"
    assert after == expected


def test_a_proxy_is_sized_by_annotations_of_the_pod(cluster: Cluster) -> None:
    """No container is added."""
    path, _ = _workload("Deployment")
    patch = patch_resources("Deployment", SHOP, "web", "istio-proxy", {("limits", "cpu"): 1.0})
    made = _apply(cluster, path, patch, "merge")
    assert made["spec"]["template"]["metadata"]["annotations"] == {"sidecar.istio.io/proxyCPULimit": "1"}
    assert _containers(made) == _containers(cluster.get(f"{path}/web"))


def test_a_container_that_is_not_there_would_be_refused(cluster: Cluster) -> None:
    """Which is why none is patched that does not run: the server takes it for a new one."""
    path, _ = _workload("Deployment")
    patch = patch_resources("Deployment", SHOP, "web", "migrate", SIZES)
    assert isinstance(patch, Patch)
    answer = cluster.client.patch(
        f"{path}/web",
        content=_as_json(patch),
        headers={"Content-Type": "application/strategic-merge-patch+json"},
    )
    assert answer.status_code == 422
    assert "image: Required value" in answer.text


@pytest.mark.parametrize("how", ["merge", "apply"])
def test_replicas_and_bounds_are_set(cluster: Cluster, how: str) -> None:
    """Of a workload, and of the autoscaler that scales one."""
    path, _ = _workload("StatefulSet")
    assert _apply(cluster, path, patch_replicas("StatefulSet", SHOP, "web", 3), how)["spec"]["replicas"] == 3
    made = _apply(cluster, _scalers(), patch_autoscaler(SHOP, "web", {"minReplicas": 2, "maxReplicas": 6}), how)
    assert (made["spec"]["minReplicas"], made["spec"]["maxReplicas"]) == (2, 6)


def test_the_command_sends_the_same_patch() -> None:
    """What kubectl is given is the object's part of the YAML."""
    patch = patch_replicas("Deployment", SHOP, "web", 3)
    assert isinstance(patch, Patch)
    whole = yaml.safe_load(patch.as_yaml())
    assert {name: whole[name] for name in patch.body} == patch.body
