"""The chart, rendered by Helm."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfloop.stack.helm_chart import CHART as IN_THE_CHECKOUT
from tests.support.kubernetes import read_documents, run_helm
from tests.support.kubernetes_tools import KUBERNETES_VERSION

if TYPE_CHECKING:
    import subprocess

CHART = Path(__file__).parents[2] / IN_THE_CHECKOUT
SETS = {path.stem.removesuffix("-values"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
# Without a cluster Helm takes the version that it was built for, if its builder gave one.
KUBERNETES = ("--kube-version", KUBERNETES_VERSION)
Document = dict[str, Any]


@cache
def render(*arguments: str, release: str = "loop", namespace: str = "perf") -> subprocess.CompletedProcess[str]:
    """Run `helm template` with a release's name, once for the same arguments."""
    return run_helm("template", release, str(CHART), "--namespace", namespace, *KUBERNETES, *arguments)


def objects(*arguments: str, release: str = "loop", namespace: str = "perf") -> list[Document]:
    """Return the objects that the chart renders."""
    done = render(*arguments, release=release, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return read_documents(done.stdout)


def of_set(name: str, *arguments: str, **release: str) -> list[Document]:
    """Return the objects of one of the chart's own value sets."""
    return objects("--values", str(SETS[name]), *arguments, **release)


def find(documents: list[Document], kind: str, end: str = "") -> Document:
    """Return the one object of a kind whose name ends so."""
    (found,) = (one for one in documents if one["kind"] == kind and one["metadata"]["name"].endswith(end))
    return found


def workloads(documents: list[Document]) -> list[Document]:
    """Return the objects that make pods."""
    return [one for one in documents if one["kind"] in {"DaemonSet", "Deployment", "Job"}]


def key(document: Document) -> tuple[str, str, str]:
    """Return what no two objects share."""
    return document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"]
