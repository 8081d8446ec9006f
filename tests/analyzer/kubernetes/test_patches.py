"""Patches: YAML that names one object and only what changes of it, or a reason why there is none."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import yaml

from perfloop_analyzer.kubernetes.patches import Patch, cpu, memory, patch_autoscaler, patch_replicas, patch_resources

SIZES = {("requests", "cpu"): 0.25, ("limits", "memory"): 2.0**29}


def _made(patch: Patch | str) -> Patch:
    assert isinstance(patch, Patch), patch
    return patch


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
def test_resources_are_merged_into_one_container(kind: str) -> None:
    """The container is named, everything else of the template stays as it is."""
    made = _made(patch_resources(kind, "shop", "checkout", "server", SIZES))
    assert yaml.safe_load(made.as_yaml()) == {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "server", "resources": {"requests": {"cpu": "250m"}, "limits": {"memory": "512Mi"}}}
                    ]
                }
            }
        },
    }


def test_a_cron_job_has_its_template_deeper() -> None:
    """Of its Jobs the ones to come have the new sizes."""
    body: Any = _made(patch_resources("CronJob", "shop", "backup", "tool", SIZES)).body
    assert body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["name"] == "tool"


@pytest.mark.parametrize(
    ("container", "annotation"),
    [("istio-proxy", "sidecar.istio.io/proxyCPU"), ("linkerd-proxy", "config.linkerd.io/proxy-cpu-request")],
)
def test_the_proxy_of_a_mesh_is_sized_by_annotations(container: str, annotation: str) -> None:
    """The template does not have it: a container of its name would be added, without an image."""
    body: Any = _made(patch_resources("Deployment", "shop", "checkout", container, {("requests", "cpu"): 0.1})).body
    assert body["spec"]["template"] == {"metadata": {"annotations": {annotation: "100m"}}}


def test_the_command_is_one_argument_for_the_shell() -> None:
    """What kubectl gets is the patch itself."""
    made = _made(patch_autoscaler("shop", "checkout", {"maxReplicas": 6}))
    program, namespace, verb, what, patch = shlex.split(made.command())
    assert (program, namespace, verb) == ("kubectl", "--namespace=shop", "patch")
    assert what == "horizontalpodautoscaler/checkout"
    assert json.loads(patch.removeprefix("--patch=")) == {"spec": {"maxReplicas": 6}}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "container", "reason"),
    [
        ("", "shop", "checkout", "server", "no series says who owns the pods"),
        ("Job", "shop", "checkout", "server", "cannot be changed while they run"),
        ("Node", "shop", "checkout", "server", "cannot be changed while they run"),
        ("Rollout", "shop", "checkout", "server", "lists are not merged by name"),
        ("Deployment", "", "checkout", "server", "namespace is not known"),
        ("Deployment", "shop; rm -rf /", "checkout", "server", "that Kubernetes allows"),
        ("Deployment", "shop", "$(reboot)", "server", "does not allow"),
        ("Deployment", "shop", "checkout", "a'b", "does not allow"),
        ("Deployment", "shop", "checkout\n", "server", "does not allow"),
        ("Deployment", "shop", "x" * 254, "server", "does not allow"),
    ],
)
def test_without_a_safe_owner_there_is_no_patch(
    kind: str, namespace: str, name: str, container: str, reason: str
) -> None:
    """Names are labels of series: whoever writes a series could write a command."""
    found = patch_resources(kind, namespace, name, container, SIZES)
    assert isinstance(found, str)
    assert reason in found


def test_replicas_are_of_what_has_a_number_of_them() -> None:
    """A DaemonSet has one a node."""
    made = _made(patch_replicas("StatefulSet", "shop", "db", 3))
    assert yaml.safe_load(made.as_yaml())["spec"] == {"replicas": 3}
    assert isinstance(patch_replicas("DaemonSet", "shop", "agent", 3), str)
    assert isinstance(patch_replicas("", "shop", "agent", 3), str)


@pytest.mark.parametrize(
    ("cores", "text"), [(0.25, "250m"), (2.0, "2"), (0.0001, "10m"), (0.1234, "124m"), (1.0000000001, "1")]
)
def test_cores_are_written_in_thousandths(cores: float, text: str) -> None:
    """Rounded up, never to nothing."""
    assert cpu(cores) == text


@pytest.mark.parametrize(
    ("size", "text"), [(2.0**30, "1Gi"), (300 * 2.0**20, "300Mi"), (300.5 * 2**20, "301Mi"), (1, "16Mi")]
)
def test_bytes_are_written_in_mebibytes(size: float, text: str) -> None:
    """Rounded up, never to nothing."""
    assert memory(size) == text
