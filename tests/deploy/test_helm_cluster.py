"""The chart in a real API server: installed, upgraded and removed; its pods made by the real controllers, and found.

`make kubernetes-tools` builds the servers; without them the tests are skipped.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from tests.support import current_prometheus
from tests.support.free_ports import find_free_ports
from tests.support.helm import CHART, SETS, Document, key, of_set, workloads
from tests.support.kubernetes import (
    Cluster,
    install_custom_resources,
    read_documents,
    run_cluster,
)
from tests.support.kubernetes_tools import HOW
from tests.support.programs import run_program
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kubernetes"), pytest.mark.timeout(600)]
NODE = "node-1"
_NUMBERS = itertools.count(1)
# What stays by design of Kubernetes itself, in every namespace.
_OF_EVERY_NAMESPACE = {"kube-root-ca.crt", "default"}
_MOST_SECRET_BYTES = 1 << 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with one machine in its books, and the custom resources of operator and KEDA."""
    with run_cluster(tmp_path_factory.mktemp("cluster")) as started:
        install_custom_resources(started)
        metadata = {"name": NODE, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": NODE}}
        started.create("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        yield started


@pytest.fixture
def controllers(cluster: Cluster) -> None:
    """What makes pods out of workloads."""
    if not cluster.has_controllers:
        pytest.skip(f"kube-controller-manager is missing: {HOW}")


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of the test's own."""
    name = f"test-{next(_NUMBERS)}"
    cluster.make_namespace(name)
    return name


def _paths(document: Document, cluster: Cluster, namespace: str) -> str:
    """Return where the API has the objects of a kind."""
    version = document["apiVersion"]
    group = "/api/v1" if version == "v1" else f"/apis/{version}"
    kinds = {one["kind"]: one for one in cluster.get(group)["resources"] if "/" not in one["name"]}
    resource = kinds[document["kind"]]
    return (
        f"{group}/namespaces/{namespace}/{resource['name']}"
        if resource["namespaced"]
        else f"{group}/{resource['name']}"
    )


def _left(cluster: Cluster, namespace: str, release: str = "loop") -> list[str]:
    """Return every object of a release that is still there, in any API, with what the controllers made of it."""
    found = []
    for path in cluster.listable():
        for one in cluster.items(path):
            metadata = one["metadata"]
            labels = metadata.get("labels") or {}
            is_own = labels.get("app.kubernetes.io/instance") == release and "namespace" not in metadata
            is_wide = is_own and metadata["name"].startswith(f"{namespace}-")
            is_in = metadata.get("namespace") == namespace and "events" not in path
            if is_wide or (is_in and metadata["name"] not in _OF_EVERY_NAMESPACE):
                found.append(f"{path}/{metadata['name']}")
    return found


def _installed(cluster: Cluster, namespace: str, release: str = "loop") -> set[tuple[str, str, str]]:
    """Return the objects that Helm says it has installed."""
    done = cluster.helm("get", "manifest", release, "--namespace", namespace)
    assert done.returncode == 0, done.stderr
    return {key(one) for one in read_documents(done.stdout)}


def _change(cluster: Cluster, command: str, name: str, namespace: str, *arguments: str, release: str = "loop") -> None:
    values = ("--values", str(SETS[name]))
    done = cluster.helm(command, release, str(CHART), "--namespace", namespace, *values, *arguments)
    assert done.returncode == 0, done.stderr


def _exists(cluster: Cluster, document: Document, namespace: str) -> bool:
    found = cluster.get(f"{_paths(document, cluster, namespace)}/{document['metadata']['name']}")
    return found is not None and "deletionTimestamp" not in found["metadata"]


@pytest.mark.parametrize("name", SETS)
def test_the_server_takes_every_object(name: str, cluster: Cluster, namespace: str) -> None:
    """Each is created as a trial, by strict validation, defaulting and admission; a field too many is refused."""
    for one in of_set(name, namespace=namespace):
        path = _paths(one, cluster, namespace)
        answer = cluster.create(path, one, dryRun="All")
        assert answer.status_code == httpx.codes.CREATED, f"{key(one)}: {answer.text}"
        if "spec" in one:
            refused = cluster.create(path, one | {"spec": {**one["spec"], "noSuchField": 1}}, dryRun="All")
            assert refused.status_code == httpx.codes.BAD_REQUEST, key(one)


@pytest.mark.parametrize("name", SETS)
def test_a_release_is_installed_and_leaves_nothing(name: str, cluster: Cluster, namespace: str) -> None:
    """After a trial: every object is there, and none afterwards, whatever controllers made of it."""
    _change(cluster, "install", name, namespace, "--dry-run=server")
    assert _left(cluster, namespace) == []
    _change(cluster, "install", name, namespace)
    documents = of_set(name, namespace=namespace)
    assert [key(one) for one in documents if not _exists(cluster, one, namespace)] == []
    (stored,) = (
        one for one in cluster.items(f"/api/v1/namespaces/{namespace}/secrets") if one["type"].startswith("helm")
    )
    assert len(stored["data"]["release"]) * 3 / 4 < 0.9 * _MOST_SECRET_BYTES
    done = cluster.helm("uninstall", "loop", "--namespace", namespace)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: _left(cluster, namespace) == [], f"the end of {_left(cluster, namespace)}")


def _walk() -> list[str]:
    """Return value sets in an order in which each follows another one, and the first is also the last."""
    if not os.environ.get("PERFLOOP_LONG_TESTS"):
        return [*SETS, next(iter(SETS))]
    walked = [next(iter(SETS))]
    for before, after in itertools.permutations(SETS, 2):
        walked += [before, after] if walked[-1] != before else [after]
    return walked


def test_a_release_is_upgraded_from_any_value_set_to_any_other(cluster: Cluster, namespace: str) -> None:
    """What the new set lacks is gone, what it has is there; PERFLOOP_LONG_TESTS=1 takes every pair, else each set."""
    walked = _walk()
    _change(cluster, "install", walked[0], namespace)
    before = of_set(walked[0], namespace=namespace)
    for name in walked[1:]:
        # With an empty set Helm would keep the values of before.
        _change(cluster, "upgrade", name, namespace, "--reset-values")
        documents = of_set(name, namespace=namespace)
        wanted = {key(one) for one in documents}
        assert _installed(cluster, namespace) == wanted
        gone = [one for one in before if key(one) not in wanted]
        wait_for(
            lambda gone=gone: not [one for one in gone if _still(cluster, one, namespace)], f"the end after {name}"
        )
        assert [key(one) for one in documents if not _exists(cluster, one, namespace)] == []
        before = documents


def _still(cluster: Cluster, document: Document, namespace: str) -> bool:
    return cluster.get(f"{_paths(document, cluster, namespace)}/{document['metadata']['name']}") is not None


def test_a_rolled_back_release_is_what_it_was(cluster: Cluster, namespace: str) -> None:
    """`helm rollback` after an upgrade to another set."""
    _change(cluster, "install", "default", namespace)
    before = _installed(cluster, namespace)
    _change(cluster, "upgrade", "production", namespace)
    done = cluster.helm("rollback", "loop", "1", "--namespace", namespace)
    assert done.returncode == 0, done.stderr
    assert _installed(cluster, namespace) == before


def test_an_upgrade_that_is_refused_changes_nothing(cluster: Cluster, namespace: str) -> None:
    """A value that does not exist: one sentence, and the release stays as it is."""
    _change(cluster, "install", "default", namespace)
    before = _installed(cluster, namespace)
    done = cluster.helm("upgrade", "loop", str(CHART), "--namespace", namespace, "--set", "analyzer.intervall=10s")
    assert done.returncode == 1
    assert "at '/analyzer': additional properties 'intervall' not allowed" in done.stderr
    assert _installed(cluster, namespace) == before
    history = cluster.helm("history", "loop", "--namespace", namespace, "--output", "yaml")
    assert [one["status"] for one in yaml.safe_load(history.stdout)] == ["deployed"]


def test_two_releases_live_in_one_namespace(cluster: Cluster, namespace: str) -> None:
    """Each with its own objects; when one goes, the other stays whole. One name for both is refused."""
    _change(cluster, "install", "standalone", namespace)
    _change(cluster, "install", "standalone", namespace, release="a.b")
    done = cluster.helm(
        *("install", "third", str(CHART), "--namespace", namespace, "--set", "fullnameOverride=loop-perfloop")
    )
    assert done.returncode == 1
    assert "loop-perfloop-" in done.stderr
    assert 'must equal "third": current value is "loop"' in done.stderr
    assert cluster.helm("uninstall", "loop", "--namespace", namespace).returncode == 0
    other = of_set("standalone", release="a.b", namespace=namespace)
    assert [key(one) for one in other if not _exists(cluster, one, namespace)] == []
    assert cluster.helm("uninstall", "a.b", "--namespace", namespace).returncode == 0
    wait_for(lambda: _left(cluster, namespace, "a.b") == [], "the end of both")


def test_a_volume_is_kept_where_a_value_says_so(cluster: Cluster, namespace: str) -> None:
    """And a release that is installed again in its place takes it over."""
    keep = ("--set", "analyzer.store.keep=true")
    _change(cluster, "install", "default", namespace, *keep)
    assert cluster.helm("uninstall", "loop", "--namespace", namespace).returncode == 0
    wait_for(lambda: len(_left(cluster, namespace)) == 1, "the end of all but the volume")
    assert _left(cluster, namespace)[0].endswith("persistentvolumeclaims/loop-perfloop-analyzer")
    _change(cluster, "install", "default", namespace, *keep)


@pytest.mark.usefixtures("controllers")
def test_everything_but_the_exporter_runs_where_pod_security_is_restricted(cluster: Cluster) -> None:
    """The controllers make every pod; the exporter's is refused, for its mounts of the node and nothing else."""
    namespace = "restricted"
    cluster.make_namespace(namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
    _change(cluster, "install", "restricted", namespace)
    _change(cluster, "install", "standalone", namespace, release="alone")
    for release, name in (("loop", "restricted"), ("alone", "standalone")):
        for one in workloads(of_set(name, release=release, namespace=namespace)):
            labels = one["spec"]["template"]["metadata"]["labels"]
            component = labels["app.kubernetes.io/component"]
            if component != "exporter":
                chosen = f"app.kubernetes.io/instance={release},app.kubernetes.io/component={component}"
                path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={chosen}"
                wait_for(lambda path=path: cluster.items(path), f"the pod of {component}")
    refused = wait_for(lambda: _refusals(cluster, namespace), "the exporter to be refused")
    assert {one["involvedObject"]["name"] for one in refused} == {"alone-perfloop-exporter"}
    (violation,) = {one["message"].partition('"restricted:latest": ')[2] for one in refused}
    mounts = '(volumes "proc", "sys", "root" use restricted volume type "hostPath")'
    assert violation == f"restricted volume types {mounts}"


def _refusals(cluster: Cluster, namespace: str) -> list[Document]:
    events = cluster.items(f"/api/v1/namespaces/{namespace}/events")
    return [one for one in events if one["reason"] == "FailedCreate" and "PodSecurity" in one["message"]]


@pytest.mark.usefixtures("controllers")
def test_the_job_gives_each_pod_its_number(cluster: Cluster, namespace: str) -> None:
    """Four pods, from 0 to 3, in the variable that `--share=job/4` reads."""
    _change(cluster, "install", "loadgen", namespace)
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods = wait_for(lambda: len(cluster.items(path)) == 4 and cluster.items(path), "four pods")
    assert isinstance(pods, list)
    numbers = [pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods]
    assert sorted(numbers) == ["0", "1", "2", "3"]
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert "JOB_COMPLETION_INDEX" in {one["name"] for one in container["env"]}
        assert "--share=job/4" in container["args"]


def test_rules_and_boards_are_whole_in_the_server(cluster: Cluster, namespace: str) -> None:
    """No field of theirs is dropped on the way."""
    _change(cluster, "install", "default", namespace)
    stored = cluster.items(f"/apis/monitoring.coreos.com/v1/namespaces/{namespace}/prometheusrules")
    groups = [json.dumps(group, sort_keys=True) for one in stored for group in one["spec"]["groups"]]
    files = [*(CHART / "files" / "alerts").glob("*.yml"), *(CHART / "files" / "rules").glob("*.yml")]
    shipped = [group for path in files for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    assert sorted(groups) == sorted(json.dumps(group, sort_keys=True) for group in shipped)
    boards = cluster.items(f"/api/v1/namespaces/{namespace}/configmaps?labelSelector=grafana_dashboard=1")
    assert len(boards) == len(list((CHART / "files" / "dashboards").glob("*.json")))


@dataclass
class Found:
    """What Prometheus has found: the labels of each target by its pool, and the state of its scrapes."""

    targets: list[dict[str, Any]]

    def services(self) -> dict[str, set[tuple[str, str]]]:
        """Return the label `service` and the machine of every target, by job."""
        by_job: dict[str, set[tuple[str, str]]] = {}
        for one in self.targets:
            by_job.setdefault(one["scrapePool"], set()).add((one["labels"]["service"], one["labels"].get("host", "")))
        return by_job


@contextmanager
def _prometheus(binary: str, text: str, directory: Path) -> Iterator[httpx.Client]:
    (directory / "prometheus.yml").write_text(text, encoding="utf-8")
    (port,) = find_free_ports(1)
    command = [
        *(binary, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _targets(client: httpx.Client) -> Found:
    try:
        return Found(client.get("/api/v1/targets").json()["data"]["activeTargets"])
    except (httpx.HTTPError, ValueError, KeyError):
        return Found([])


def _own_configuration(cluster: Cluster, namespace: str, kubeconfig: Path) -> str:
    """Return the configuration of the chart's Prometheus, which finds the server by a file instead of its pod's."""
    stored = cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/loop-perfloop-prometheus")
    config = yaml.safe_load(stored["data"]["prometheus.yml"])
    config["rule_files"] = []
    # Kubelets and their token are where there are machines.
    config["scrape_configs"] = [
        job for job in config["scrape_configs"] if job["job_name"] not in {"cadvisor", "kubelet"}
    ]
    for scope in [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]:
        for discovery in scope["kubernetes_sd_configs"]:
            discovery["kubeconfig_file"] = str(kubeconfig)
    return yaml.safe_dump(config)


def _run_pods(cluster: Cluster, namespace: str, address: str) -> list[str]:
    """Give every pod of a namespace a machine and an address, as scheduler and machine would; return the names."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    names = [pod["metadata"]["name"] for pod in cluster.items(path)]
    for name in names:
        if not cluster.get(f"{path}/{name}")["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
            assert cluster.create(f"{path}/{name}/binding", binding).status_code == httpx.codes.CREATED
        ready = {"type": "Ready", "status": "True"}
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [ready]}
        cluster.patch_status(f"{path}/{name}", status)
    return names


def _deploy_shop(cluster: Cluster, namespace: str, name: str, labels: dict[str, str], port: int) -> None:
    """Create a Deployment as anybody's: its pods say by annotations where their metrics are."""
    annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": str(port), "prometheus.io/path": "/metrics"}
    container = {"name": "main", "image": "shop:1", "ports": [{"containerPort": 8000}, {"containerPort": 8001}]}
    pod = {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    answer = cluster.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", document)
    assert answer.status_code == httpx.codes.CREATED, answer.text


@pytest.mark.usefixtures("controllers")
def test_prometheus_finds_the_pods_by_the_permissions_of_the_chart(cluster: Cluster, tmp_path: Path) -> None:
    """A real Prometheus with the chart's configuration and its ServiceAccount's token; the exporter is scraped."""
    binary = current_prometheus.find_current()
    if binary is None:
        pytest.skip(f"Debian's Prometheus knows no Kubernetes: {current_prometheus.HOW}")
    for name in ("own", "shops"):
        cluster.make_namespace(name)
    _change(cluster, "install", "standalone", "own")
    _deploy_shop(cluster, "shops", "shop-backend", {"app.kubernetes.io/name": "shop"}, 8000)
    _deploy_shop(cluster, "shops", "legacy-api", {"app": "legacy"}, 8001)
    workload_pods = len(workloads(of_set("standalone")))
    wait_for(lambda: len(cluster.items("/api/v1/namespaces/own/pods")) == workload_pods, "the pods")
    wait_for(lambda: len(cluster.items("/api/v1/namespaces/shops/pods")) == 2, "the shops' pods")
    # A loopback address of its own: the exporter's port is the chart's.
    address = f"127.{os.getpid() % 200 + 20}.77.{os.getpid() % 250 + 1}"
    for name in ("own", "shops"):
        _run_pods(cluster, name, address)
    token = cluster.token("own", "loop-perfloop-prometheus")
    kubeconfig = cluster.write_kubeconfig(tmp_path / "prometheus.kubeconfig", token)
    flags = [f"--web.listen-address={address}:19100", "--collector.disable-defaults", "--collector.loadavg"]
    with (
        run_program("perfloop_exporter", flags, tmp_path),
        _prometheus(str(binary), _own_configuration(cluster, "own", kubeconfig), tmp_path) as client,
    ):
        wanted = {
            "node": {("host", NODE)},
            "analyzer": {("analyzer", NODE)},
            "inbox": {("inbox", NODE)},
            "prometheus": {("prometheus", NODE)},
            "alertmanager": {("alertmanager", NODE)},
            "services": {("shop", NODE), ("legacy-api", NODE)},
        }
        wait_for(lambda: _targets(client).services() == wanted, f"{wanted}, not {_targets(client).services()}")
        addresses = {one["scrapeUrl"] for one in _targets(client).targets if one["scrapePool"] == "services"}
        assert addresses == {f"http://{address}:8000/metrics", f"http://{address}:8001/metrics"}
        query = {"query": 'node_load1{job="node",service="host",host="node-1"}'}
        wait_for(lambda: client.get("/api/v1/query", params=query).json()["data"]["result"], "the exporter's series")
        found = client.get("/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
        assert [one["url"] for one in found] == [f"http://{address}:9093/api/v2/alerts"]


def test_permissions_are_minimal(cluster: Cluster, namespace: str) -> None:
    """Prometheus may read pods and nothing else; without `allNamespaces`, those of its own namespace alone."""
    _change(cluster, "install", "restricted", namespace)
    headers = {"Authorization": f"Bearer {cluster.token(namespace, 'loop-perfloop-prometheus')}"}
    codes = {
        path: cluster.client.get(path, headers=headers).status_code
        for path in (
            f"/api/v1/namespaces/{namespace}/pods",
            f"/api/v1/namespaces/{namespace}/secrets",
            "/api/v1/pods",
            "/api/v1/nodes",
        )
    }
    assert list(codes.values()) == [httpx.codes.OK, *[httpx.codes.FORBIDDEN] * 3], codes
    headers = {"Authorization": f"Bearer {cluster.token(namespace, 'loop-perfloop-analyzer')}"}
    answer = cluster.client.get(f"/api/v1/namespaces/{namespace}/pods", headers=headers)
    assert answer.status_code == httpx.codes.FORBIDDEN
