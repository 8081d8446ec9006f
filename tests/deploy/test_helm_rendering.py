"""What Helm makes of the chart: every value set against the schemas of the real APIs, and what cannot be right.

`make kubernetes-tools` builds Helm and kubeconform; without them the tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.helm import CHART, KUBERNETES, SETS, Document, find, key, objects, of_set, render, workloads
from tests.support.kubernetes import program, run_helm
from tests.support.kubernetes_schemas import LOCATION, write_schemas

if TYPE_CHECKING:
    from pathlib import Path

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the schema of every kind that a value set has."""
    directory = tmp_path_factory.mktemp("schemas")
    write_schemas(directory, {one["kind"] for name in SETS for one in of_set(name)})
    return directory


def _conform(schemas: Path, directory: Path, documents: list[Document]) -> dict[str, Any]:
    path = directory / "objects.yaml"
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    command = [program("kubeconform"), "-schema-location", f"{schemas}/{LOCATION}", "-summary", "-output", "json"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=120, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", SETS)
def test_every_object_meets_the_schema_of_its_api(name: str, schemas: Path, tmp_path: Path) -> None:
    """With no field that the API does not have."""
    documents = of_set(name)
    found = _conform(schemas, tmp_path, documents)
    assert found.get("resources", []) == []
    assert found["summary"] == {"valid": len(documents), "invalid": 0, "errors": 0, "skipped": 0}


def test_the_schemas_refuse_what_is_wrong(schemas: Path, tmp_path: Path) -> None:
    """A field that does not exist and a number that is a text, in each kind of schema: else nothing would be shown."""
    documents = of_set("keda")
    for kind in ("DaemonSet", "ServiceMonitor", "PrometheusRule"):
        next(one for one in documents if one["kind"] == kind)["spec"]["replicaz"] = 1
    next(one for one in documents if one["kind"] == "ScaledObject")["spec"]["pollingInterval"] = "often"
    assert _conform(schemas, tmp_path, documents)["summary"]["invalid"] == 4


@pytest.mark.parametrize("name", SETS)
def test_no_two_objects_have_one_name(name: str) -> None:
    """Else the later would replace the earlier."""
    keys = [key(one) for one in of_set(name)]
    assert sorted(set(keys)) == sorted(keys)


@pytest.mark.parametrize("name", SETS)
def test_helm_lint_finds_nothing(name: str) -> None:
    """Warnings are errors; an icon, which lint recommends, is information."""
    done = run_helm("lint", "--strict", str(CHART), "--values", str(SETS[name]), *KUBERNETES)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SETS)
def test_pods_are_restricted(name: str) -> None:
    """No root, no capability, nothing writable but volumes; none but Prometheus has a token of the API."""
    for one in workloads(of_set(name)):
        pod = one["spec"]["template"]["spec"]
        component = one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is (component == "prometheus")
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == RESTRICTED
            assert set(container["resources"]) == {"requests", "limits"}
        paths = [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]
        assert set(paths) <= ({"/proc", "/sys", "/"} if component == "exporter" else set())
        mounted = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["mountPath"].startswith("/host")]
        assert all(mount["readOnly"] for mount in mounted)


@pytest.mark.parametrize("name", SETS)
def test_what_serves_has_probes_and_selectors_find_it(name: str) -> None:
    """Services, monitors, policies and budgets each select pods that are there, by the ports that those name."""
    documents = of_set(name)
    pods = [one["spec"]["template"] for one in workloads(documents)]
    for one in workloads(documents):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        if one["kind"] != "Job":
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    for one in documents:
        wanted = _selector(one)
        if wanted is None or "service-" in one["metadata"]["name"]:
            continue
        chosen = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
        assert len(chosen) == 1, key(one)
        ports = {port["name"] for port in chosen[0]["spec"]["containers"][0]["ports"]}
        if one["kind"] == "Service":
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports


def _selector(document: Document) -> dict[str, str] | None:
    spec = document.get("spec", {})
    if document["kind"] == "Service":
        return dict(spec["selector"])
    for name in ("podSelector", "selector"):
        if isinstance(spec.get(name), dict) and "matchLabels" in spec[name]:
            return dict(spec[name]["matchLabels"])
    return None


def test_labels_of_a_selector_are_no_values() -> None:
    """A selector can never be changed: `commonLabels` neither adds to it nor replaces what it asks for."""
    plain = of_set("default")
    changed = of_set("default", "--set", "commonLabels.team=a", "--set", r"commonLabels.app\.kubernetes\.io/instance=b")
    assert [_selector(one) for one in plain] == [_selector(one) for one in changed]
    assert all(one["metadata"]["labels"]["team"] == "a" for one in changed)


def test_rules_are_the_shipped_ones() -> None:
    """Every group of every file, and links to the runbook where it lies."""
    documents = [one for one in of_set("default") if one["kind"] == "PrometheusRule"]
    made = [group for one in documents for group in one["spec"]["groups"]]
    files = [*(CHART / "files" / "alerts").glob("*.yml"), *(CHART / "files" / "rules").glob("*.yml")]
    shipped = [group for path in sorted(files) for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    assert sorted(map(json.dumps, made)) == sorted(map(json.dumps, shipped))
    linked = json.dumps([one for one in of_set("production") if one["kind"] == "PrometheusRule"])
    assert "https://wiki.example.org/runbook#HostDown" in linked
    assert "externalURL" not in linked


def test_boards_are_the_shipped_ones() -> None:
    """One ConfigMap each, with the sidecar's label, and the data source that a value names."""
    boards = [one for one in of_set("production") if "grafana_dashboard" in one["metadata"]["labels"]]
    assert len(boards) == len(list((CHART / "files" / "dashboards").glob("*.json")))
    for one in boards:
        (text,) = one["data"].values()
        assert len(text.encode()) < 1 << 20
        variables = json.loads(text)["templating"]["list"]
        assert [each["current"]["value"] for each in variables if each["type"] == "datasource"] == ["mimir"]


def test_autoscaling_is_that_of_the_shipped_files() -> None:
    """The objects of deploy/autoscaling, with other names and the address of this Prometheus."""
    shipped = CHART.parents[1] / "autoscaling"
    scaled = find(of_set("keda"), "ScaledObject", "scale-shop")["spec"]
    assert scaled["triggers"][0]["metadata"]["serverAddress"] == "http://prometheus-operated.perf.svc:9090"
    scaled["triggers"][0]["metadata"]["serverAddress"] = "http://prometheus:9090"
    assert scaled == yaml.safe_load((shipped / "keda-scaledobject.yml").read_text(encoding="utf-8"))["spec"]
    scaler = find(of_set("hpa"), "HorizontalPodAutoscaler", "scale-shop")["spec"]
    assert scaler == yaml.safe_load((shipped / "hpa.yml").read_text(encoding="utf-8"))["spec"]


def test_bounds_of_replicas_reach_the_analyzer() -> None:
    """The same in the autoscaler and in scaling.yml, beside the shipped defaults."""
    data = find(of_set("keda"), "ConfigMap", "-config")["data"]
    scaling = yaml.safe_load(data["scaling.yml"])
    assert {"service": "vllm", "min_replicas": 0, "max_replicas": 4} in scaling["services"]
    assert scaling["defaults"]["max_replicas"] == 10


def test_the_address_of_prometheus_follows() -> None:
    """The chart's own where there is one, else the operator's, else the value."""
    for name, address in (
        ("default", "http://prometheus-operated:9090"),
        ("standalone", "http://loop-perfloop-prometheus.perf.svc:9090"),
        ("production", "http://mimir-gateway.mimir.svc/prometheus"),
    ):
        args = find(of_set(name), "Deployment", "-analyzer")["spec"]["template"]["spec"]["containers"][0]["args"]
        assert f"--prometheus.url={address}" in args


def test_a_load_test_with_other_values_is_another_job() -> None:
    """A Job cannot be changed; with the same values it stays what it is."""
    names = [
        find(of_set("loadgen", *more), "Job")["metadata"]["name"] for more in ([], [], ["--set", "loadgen.pods=5"])
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    "release",
    ["loop", "perfloop", "my-perfloop", "a" * 53, "2026.load-test", "7", "x." * 26 + "y"],
    ids=lambda release: release[:12],
)
def test_names_are_those_that_kubernetes_takes(release: str) -> None:
    """Host names of at most 63 characters for all that is one, a pod of the load test among them."""
    documents = [*of_set("standalone", release=release), *of_set("loadgen", release=release)]
    for one in documents:
        name = one["metadata"]["name"]
        assert len(name) <= 63 or one["kind"] in {"ClusterRole", "ClusterRoleBinding", "ConfigMap"}, name
        if one["kind"] == "Service":
            assert name[0].isalpha()
            assert "." not in name
    assert len(find(documents, "Job")["metadata"]["name"]) + len("-99") <= 63


def test_releases_of_almost_one_name_share_no_object() -> None:
    """Names that are cut, or of which dots are taken, keep a hash of what they were."""
    releases = ["a" * 52 + "b", "a" * 53, "a.b", "a-b", "1a", "r1a"]
    names = [key(one) for release in releases for one in of_set("standalone", release=release)]
    assert len(set(names)) == len(names)


def test_two_releases_in_one_namespace_select_their_own() -> None:
    """No selector of the one finds a pod of the other."""
    first, second = of_set("standalone"), of_set("standalone", release="other")
    assert not {key(one) for one in first} & {key(one) for one in second}
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in workloads(second)]
    for one in first:
        wanted = _selector(one)
        assert wanted is None or not [labels for labels in pods if wanted.items() <= labels.items()]


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (["--set", "analyser.interval=10s"], ["additional properties 'analyser' not allowed"]),
        (["--set", "analyzer.intervall=10s"], ["at '/analyzer': additional properties 'intervall' not allowed"]),
        (["--set", "analyzer.interval=fast"], ["at '/analyzer/interval': 'fast' does not match pattern"]),
        (["--set", "exporter=null"], ["missing property 'exporter'"]),
        (["--set", "analyzer.replicas=two"], ["at '/analyzer/replicas': got string, want integer"]),
        (
            ["--set", "analyzer.replicas=2", "--set", "loadgen.enabled=true", "--set", "alertmanager.enabled=true"],
            [
                "analyzer.replicas is 2, and analyzer.store.type is sqlite: more than one needs postgresql",
                "loadgen.url is empty",
                "loadgen needs loadgen.test or loadgen.existingConfigMap, one of them",
                "inbox.enabled is false",
            ],
        ),
        (["--set", "analyzer.store.type=postgresql"], ["analyzer.store.secretName is empty"]),
        (
            ["--values", str(SETS["loadgen"]), "--set", "loadgen.startAt=,loadgen.test=a: ["],
            ["loadgen.pods is 4, and loadgen.startAt is empty", "loadgen.test is not valid YAML"],
        ),
        (["--values", str(SETS["loadgen"]), "--set", "loadgen.test=tests: {}"], ["loadgen.test has no load_tests"]),
        (
            ["--values", str(SETS["keda"]), "--set", "autoscaling.kind=hpa"],
            ["vllm has minReplicas 0, and autoscaling.kind is hpa, which has at least 1"],
        ),
        (
            ["--values", str(SETS["keda"]), "--set", "autoscaling.services[1].deployment=shop"],
            ["autoscaling.services names the deployment shop twice"],
        ),
        (
            ["--values", str(SETS["keda"]), "--set", "autoscaling.services[0].minReplicas=11"],
            ["shop has minReplicas 11 above maxReplicas 10"],
        ),
        (["--set", "alertmanagerConfig.enabled=true"], ["alertmanagerConfig.enabled is true, and it has no receiver"]),
        (["--kube-version", "1.28.0"], ["chart requires kubeVersion: >=1.29.0-0"]),
    ],
    ids=lambda value: value[-1][:50] if isinstance(value, list) else None,
)
def test_what_cannot_be_right_is_refused(arguments: list[str], sentences: list[str]) -> None:
    """Before anything is made, all of it together."""
    done = render(*arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    for sentence in sentences:
        assert sentence in done.stderr


def test_a_package_of_the_chart_is_the_chart(tmp_path: Path) -> None:
    """It renders the same, and leaves the value sets of the tests out."""
    done = run_helm("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    assert package.stat().st_size < 1 << 20
    packed = run_helm("template", "loop", str(package), "--namespace", "perf", *KUBERNETES)
    assert list(yaml.safe_load_all(packed.stdout)) == list(yaml.safe_load_all(render().stdout))
    assert objects()
