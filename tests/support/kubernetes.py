"""A Kubernetes without machines: etcd, kube-apiserver and kube-controller-manager on loopback, and Helm for it.

Controllers make pods out of workloads as in every cluster; nobody runs them, so that a test says itself which pods
have an address and are ready. Requests are checked by the real admission, PodSecurity and RBAC among them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from perfloop.stack import programs
from tests.support import kubernetes_tools
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ADMIN_TOKEN = "the-admin-of-the-tests"  # pragma: allowlist secret
_START_SECONDS = 120
_STOP_SECONDS = 20


def program(name: str) -> str:
    """Return the path of a tool; the test is skipped where it is missing."""
    found = programs.find(name)
    if found is None:
        pytest.skip(f"{name} is neither on PATH nor in .perfloop/bin: {kubernetes_tools.HOW}")
    return str(found)


def module(name: str) -> Path:
    """Return the directory of a Go module; the test is skipped where it cannot be downloaded."""
    try:
        return kubernetes_tools.module(name)
    except kubernetes_tools.ToolError as error:
        pytest.skip(f"the schemas of {name} are not here: {error}")


def run_helm(
    *arguments: str, kubeconfig: Path | None = None, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Helm, which keeps what it writes below `directory`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HELM_", "KUBE"))}
    place = directory or Path(tempfile.gettempdir()) / "perfloop-helm"
    env |= {f"HELM_{name}_HOME": str(place / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    # Without one, Helm would take that of the person who runs the tests.
    env["KUBECONFIG"] = str(kubeconfig) if kubeconfig else os.devnull
    command = [program("helm"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=env)


class _Loader(yaml.CSafeLoader):
    """Reads `=` as the text that it is to Kubernetes; to YAML 1.1 it is a type that no program has."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def read_documents(text: str) -> list[Any]:
    """Return the documents of a YAML text as Kubernetes reads it, the empty ones left out."""
    return [one for one in yaml.load_all(text, _Loader) if one]


@dataclass
class Cluster:
    """A running API server, its administrator's client, and Helm for it."""

    directory: Path
    url: str
    kubeconfig: Path
    client: httpx.Client
    has_controllers: bool
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def helm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Helm as the administrator."""
        return run_helm(*arguments, kubeconfig=self.kubeconfig, directory=self.directory / "helm")

    def get(self, path: str) -> Any:
        """Return what the API has at a path, None for nothing."""
        answer = self.client.get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return the objects of a list."""
        found: list[dict[str, Any]] = (self.get(path) or {}).get("items", [])
        return found

    def create(self, path: str, document: Mapping[str, Any], **query: str) -> httpx.Response:
        """Create an object as `kubectl --validate=strict` does: a field that does not exist is refused."""
        return self.client.post(path, json=document, params={"fieldValidation": "Strict", **query})

    def patch_status(self, path: str, status: Mapping[str, Any]) -> None:
        """Say what becomes of an object, in the place of a machine."""
        answer = self.client.patch(
            f"{path}/status",
            content=json.dumps({"status": status}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        assert answer.status_code == httpx.codes.OK, answer.text

    def make_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create a namespace, and wait for what the controllers put into each."""
        metadata = {"name": name, "labels": dict(labels or {})}
        answer = self.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        default = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        if self.has_controllers:
            wait_for(lambda: self.get(default), f"the default service account of {name}")

    def listable(self) -> list[str]:
        """Return the path of every kind of object that the server can list."""
        groups = [f"/apis/{one['groupVersion']}" for group in self.get("/apis")["groups"] for one in group["versions"]]
        return [
            f"{group}/{one['name']}"
            for group in ["/api/v1", *groups]
            for one in (self.get(group) or {}).get("resources", [])
            if "list" in one["verbs"] and "/" not in one["name"]
        ]

    def token(self, namespace: str, account: str) -> str:
        """Return a token of a service account, as its pods are given one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.client.post(path, json=document)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        token: str = answer.json()["status"]["token"]
        return token

    def write_kubeconfig(self, path: Path, token: str) -> Path:
        """Write how a client reaches the server with a token."""
        path.write_text(yaml.safe_dump(_kubeconfig(self.url, self.directory, token)), encoding="utf-8")
        return path


def _kubeconfig(url: str, directory: Path, token: str) -> dict[str, Any]:
    cluster = {"server": url, "certificate-authority": str(directory / "certificates" / "apiserver.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    }


def _etcd(directory: Path, client: str, peer: str) -> list[str]:
    return [
        program("etcd"),
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def _apiserver(directory: Path, etcd: str, port: int) -> list[str]:
    return [
        program("kube-apiserver"),
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certificates'}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory / 'accounts.key'}",
        f"--service-account-signing-key-file={directory / 'accounts.key'}",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--endpoint-reconciler-type=none",
        # What is in use is kept by a finalizer, which a controller takes away.
        *([] if find_controllers() else ["--disable-admission-plugins=StorageObjectInUseProtection"]),
    ]


def find_controllers() -> Path | None:
    """Return the path of kube-controller-manager, None where it is missing: then nobody makes pods."""
    return programs.find("kube-controller-manager")


def _controllers(binary: Path, directory: Path, kubeconfig: Path) -> list[str]:
    return [
        str(binary),
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={directory / 'accounts.key'}",
        "--leader-elect=false",
        "--secure-port=0",
        # Machines send no heartbeat here: they would be taken for dead.
        "--controllers=*,-node-lifecycle-controller",
    ]


def _start(command: list[str], directory: Path) -> subprocess.Popen[bytes]:
    name = command[0].rsplit("/", 1)[-1]
    with (directory / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def run_cluster(directory: Path) -> Iterator[Cluster]:
    """Start a cluster with everything that it keeps in `directory`, and end it."""
    etcd_port, peer_port, port = find_free_ports(3)
    url, etcd = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{etcd_port}"
    commands = [_etcd(directory, etcd, f"http://127.0.0.1:{peer_port}"), _apiserver(directory, etcd, port)]
    (directory / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,1,"system:masters"\n', encoding="utf-8")
    subprocess.run(
        ["openssl", "genrsa", "-out", str(directory / "accounts.key"), "2048"], check=True, capture_output=True
    )
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    # The certificate is the server's own, made when it starts.
    client = httpx.Client(base_url=url, headers=headers, verify=False, timeout=60)
    controllers = find_controllers()
    cluster = Cluster(directory, url, directory / "admin.kubeconfig", client, controllers is not None)
    cluster.write_kubeconfig(cluster.kubeconfig, ADMIN_TOKEN)
    try:
        cluster.processes = [_start(command, directory) for command in commands]
        wait_for(lambda: _answers(client, "/readyz"), "kube-apiserver to be ready", _START_SECONDS)
        if controllers:
            cluster.processes.append(_start(_controllers(controllers, directory, cluster.kubeconfig), directory))
            wait_for(lambda: cluster.get("/api/v1/namespaces/default/serviceaccounts/default"), "the controllers")
        yield cluster
    finally:
        client.close()
        for process in reversed(cluster.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def install_custom_resources(cluster: Cluster) -> None:
    """Create the CRDs of the Prometheus operator and of KEDA, and wait until their objects can be made."""
    operator = module(kubernetes_tools.PROMETHEUS_OPERATOR) / "example" / "prometheus-operator-crd"
    keda = module(kubernetes_tools.KEDA) / "config" / "crd" / "bases"
    for path in sorted([*operator.glob("*.yaml"), *keda.glob("*.yaml")]):
        (document,) = read_documents(path.read_text(encoding="utf-8"))
        answer = cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", document)
        assert answer.status_code == httpx.codes.CREATED, answer.text
    for path in (
        "/apis/monitoring.coreos.com/v1/prometheusrules",
        "/apis/monitoring.coreos.com/v1alpha1/alertmanagerconfigs",
        "/apis/keda.sh/v1alpha1/scaledobjects",
    ):
        wait_for(lambda path=path: cluster.get(path), path)
