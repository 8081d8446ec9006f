"""Builds what the tests of the Helm chart need into `.perfloop/bin`: `make kubernetes-tools`.

Helm, kubeconform, and the servers of a cluster without machines (etcd, kube-apiserver, kube-controller-manager), from
their sources in the Go module proxy: Go verifies each by its checksum database. It takes Go 1.26, 3 GB of disk for
Go's caches, and on two cores about ten minutes, once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from perfloop.stack import programs
from perfloop_base.terminal import show

HELM = "helm.sh/helm/v3/cmd/helm@v3.22.0"
KUBECONFORM = "github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0"
KUBERNETES_VERSION = "v1.34.4"
KUBERNETES = f"k8s.io/kubernetes@{KUBERNETES_VERSION}"
# The repositories that make up Kubernetes are released with it, under v0.
STAGING_VERSION = KUBERNETES_VERSION.replace("v1", "v0", 1)
ETCD = "go.etcd.io/etcd/server/v3@v3.6.7"
# Their custom resources: the schemas are read from the modules, nothing of them is kept here.
PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
KEDA = "github.com/kedacore/keda/v2@v2.21.0"
SERVERS = {
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "etcd": "go.etcd.io/etcd/server/v3",
}
NAMES = ("helm", "kubeconform", *SERVERS)
HOW = "run `make kubernetes-tools` (Go 1.26, about ten minutes)"
_OLDEST_GO = (1, 26)
_VERSION = "k8s.io/component-base/version"
_MODULE = """module servers

go 1.24.0

require (
\tk8s.io/kubernetes {version}
\t{etcd}
)

replace (
{replaced})
"""


class ToolError(Exception):
    """A tool cannot be built; one sentence."""


def find_go() -> str:
    """Return the Go compiler.

    Raises:
        ToolError: there is none, or it is too old.
    """
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if go is None:
        raise ToolError("go is not on PATH: Go 1.26 or later builds the tools")
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST_GO:
        raise ToolError(f"{go} is {version.strip()}: the tools need Go 1.26 or later")
    return go


def _go(*arguments: str, directory: Path | str = "/", env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [find_go(), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | (env or {}),
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it gave no reason"]
        raise ToolError(f"`go {' '.join(arguments[:2])}` failed: {lines[-1]}")
    return done.stdout


@cache
def module(name: str) -> Path:
    """Return the directory of a Go module, `NAME@VERSION`, downloaded if need be.

    Raises:
        ToolError: it cannot be downloaded.
    """
    return Path(json.loads(_go("mod", "download", "-json", name))["Dir"])


def install(package: str, target: Path) -> None:
    """Build a program, `PACKAGE@VERSION`, as `target`."""
    with tempfile.TemporaryDirectory() as place:
        _go("install", package, env={"GOBIN": place, "CGO_ENABLED": "0"})
        shutil.move(str(next(Path(place).iterdir())), target)


def build_servers(target: Path) -> None:
    """Build the servers below `target`, as the dependencies of a module of their own."""
    required = (module(KUBERNETES) / "go.mod").read_text(encoding="utf-8")
    staging = sorted(set(re.findall(r"^\t(k8s\.io/\S+) v0\.0\.0(?: .*)?$", required, re.MULTILINE)))
    replaced = "".join(f"\t{name} => {name} {STAGING_VERSION}\n" for name in staging)
    # Helm asks the server for its version.
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    facts = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor}
    flags = "-s -w " + " ".join(f"-X {_VERSION}.{name}={value}" for name, value in facts.items())
    with tempfile.TemporaryDirectory() as place:
        text = _MODULE.format(version=KUBERNETES_VERSION, etcd=ETCD.replace("@", " "), replaced=replaced)
        (Path(place) / "go.mod").write_text(text, encoding="utf-8")
        for name, package in SERVERS.items():
            if not (target / name).exists():
                show(f"{name} {KUBERNETES_VERSION if 'k8s' in package else ETCD.partition('@')[2]}")
                built = ("build", "-mod=mod", "-trimpath", f"-ldflags={flags}", "-o", f"{target / name}", package)
                _go(*built, directory=place, env={"CGO_ENABLED": "0"})


def main() -> int:
    """Build what is missing; return the exit code."""
    target = programs.home() / "bin"
    target.mkdir(parents=True, exist_ok=True)
    try:
        for name, package in (("helm", HELM), ("kubeconform", KUBECONFORM)):
            if not (target / name).exists():
                show(f"{name} {package.partition('@')[2]}")
                install(package, target / name)
        build_servers(target)
        for name in (KUBERNETES, PROMETHEUS_OPERATOR, KEDA):
            module(name)
    except (ToolError, OSError) as error:
        sys.stderr.write(f"kubernetes-tools: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
