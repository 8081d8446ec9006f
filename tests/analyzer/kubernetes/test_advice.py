"""Recommendations in Kubernetes's words: sizes that stay valid, patches of what owns the pods, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from perfloop_analyzer.kubernetes import Autoscaler, Directory, Workload, advise
from perfloop_analyzer.kubernetes.advice import CHANGES
from perfloop_analyzer.recommend import Recommendation, load_rules
from perfloop_analyzer.recommend.engine import identify
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.waste import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

GRID = Grid(0.0, 30.0, 4)
MIB = 2.0**20
CONTAINER = {"service": "checkout", "namespace": "shop", "workload": "deployment/checkout", "container": "server"}
DEPLOYMENT = Workload("shop", "Deployment", "checkout", "checkout", frozenset({"server", "istio-proxy"}), 3)
KNOWN = Directory({("shop", "checkout"): DEPLOYMENT}, {("shop", "checkout"): DEPLOYMENT})


def _advice(
    rule: str,
    sizes: Mapping[str, float],
    directory: Directory = KNOWN,
    labels: Mapping[str, str] = CONTAINER,
    **values: Any,
) -> Recommendation | None:
    """What becomes of one recommendation; None where it is left out."""
    one = Recommendation(
        identify(rule, "checkout", labels), rule, "checkout", "cpu", "infrastructure", "high", "title", "Do it.",
        "low", "low", (), ({"labels": {"other": "x"}}, {"labels": labels}), values=values,
    )  # fmt: skip
    batches = {
        name: Batch(name, GRID, (labels,), np.full((1, GRID.points), value, dtype=np.float64))
        for name, value in sizes.items()
    }
    return next(iter(advise([one], batches, directory)), None)


def _resources(one: Recommendation | None) -> dict[str, Any]:
    assert one is not None
    patch = one.values["patch"]
    assert patch["command"] in one.action
    spec: Any = yaml.safe_load(patch["yaml"])["spec"]
    resources: dict[str, Any] = spec["template"]["spec"]["containers"][0]["resources"]
    return resources


def _spec(one: Recommendation | None) -> dict[str, Any]:
    assert one is not None
    spec: dict[str, Any] = yaml.safe_load(one.values["patch"]["yaml"])["spec"]
    return spec


def test_every_rule_that_is_answered_exists() -> None:
    """A rule that is renamed must be renamed here."""
    assert CHANGES.keys() <= {rule.rule for rule in load_rules()} | {kind.rule for kind in KINDS}


def test_a_throttled_container_gets_what_it_used_and_waited_for() -> None:
    """Half a core used and a fifth waited for, and 15% more; its request stays."""
    sizes = {
        "container_cpu_limit_cores": 0.5,
        "container_cpu_request_cores": 0.25,
        "kube_cpu_cores_used": 0.5,
        "kube_cpu_wait_cores": 0.2,
    }
    assert _resources(_advice("container_throttled", sizes)) == {"limits": {"cpu": "810m"}}


def test_a_guaranteed_container_stays_guaranteed() -> None:
    """Its request is its limit, and becomes the new one too."""
    sizes = {"container_cpu_limit_cores": 1.0, "container_cpu_request_cores": 1.0}
    assert _resources(_advice("container_throttled", sizes)) == {
        "limits": {"cpu": "1200m"},
        "requests": {"cpu": "1200m"},
    }


def test_a_killed_container_gets_a_quarter_more() -> None:
    """The peak that killed it is not seen: at least a quarter more than the limit."""
    sizes = {"container_memory_limit_bytes": 128 * MIB, "kube_memory_used_bytes": 100 * MIB}
    assert _resources(_advice("container_killed", sizes)) == {"limits": {"memory": "160Mi"}}


def test_a_limit_never_falls_below_its_request() -> None:
    """The API server would refuse it."""
    sizes = {"container_memory_limit_bytes": 1024 * MIB, "container_memory_request_bytes": 512 * MIB}
    found = _resources(_advice("waste_container_memory", sizes, resize={"to": 256 * MIB}))
    assert found == {"limits": {"memory": "256Mi"}, "requests": {"memory": "256Mi"}}


def test_a_request_is_lowered_alone() -> None:
    """A limit says nothing about what is set aside."""
    sizes = {"container_cpu_request_cores": 1.0, "container_cpu_limit_cores": 2.0}
    assert _resources(_advice("waste_cpu_request", sizes, resize={"to": 0.12})) == {"requests": {"cpu": "120m"}}


def test_no_request_is_lowered_that_an_autoscaler_divides_by() -> None:
    """Less of it would be a higher use, and start more replicas."""
    scaler = Autoscaler("shop", "checkout", "Deployment", "checkout", 2, 4, frozenset({"cpu"}))
    held = replace(KNOWN, autoscalers={("shop", "checkout"): scaler})
    assert _advice("waste_cpu_request", {}, held, resize={"to": 0.1}) is None
    assert _advice("waste_memory_request", {}, held, resize={"to": 2.0**28}) is not None


def test_an_autoscaler_at_its_maximum_gets_a_larger_one() -> None:
    """Half as many again, where nothing says how many are needed."""
    scaler = Autoscaler("shop", "web", "Deployment", "checkout", 2, 5)
    labels = {"service": "checkout", "namespace": "shop", "horizontalpodautoscaler": "web"}
    found = _advice("autoscaler_at_maximum", {}, replace(KNOWN, autoscalers={("shop", "web"): scaler}), labels)
    assert _spec(found) == {"maxReplicas": 8}


def test_replicas_are_set_where_nothing_else_sets_them() -> None:
    """Three replicas at 95% of their limit need five at 70%."""
    assert _spec(_advice("container_cpu_full", {"kube_cpu_limit_used_ratio": 0.95})) == {"replicas": 5}


@pytest.mark.parametrize(("largest", "expected"), [(10, {"minReplicas": 5}), (4, {"minReplicas": 5, "maxReplicas": 5})])
def test_an_autoscaler_is_asked_where_it_sets_them(largest: int, expected: dict[str, int]) -> None:
    """It would undo any other number at once."""
    scaler = Autoscaler("shop", "web", "Deployment", "checkout", 2, largest)
    found = _advice(
        "container_cpu_full", {"kube_cpu_limit_used_ratio": 0.95}, replace(KNOWN, autoscalers={("shop", "web"): scaler})
    )
    assert _spec(found) == expected


def test_fewer_replicas_are_those_of_the_service() -> None:
    """What waste says of a service is about its one workload; an autoscaler that may go lower already is left alone."""
    labels = {"service": "checkout"}
    assert _spec(_advice("waste_replicas", {}, KNOWN, labels, resize={"to": 2.0})) == {"replicas": 2}
    low = replace(KNOWN, autoscalers={("shop", "w"): Autoscaler("shop", "w", "Deployment", "checkout", 1, 9)})
    found = _advice("waste_replicas", {}, low, labels, resize={"to": 2.0})
    assert found is not None
    assert "there is no patch" in found.action


@pytest.mark.parametrize("workload", ["checkout", "deployment/gone"])
def test_without_an_owner_there_is_no_patch(workload: str) -> None:
    """And the action says so, with the size."""
    labels = {**CONTAINER, "workload": workload}
    nobody = Directory({("shop", "checkout"): Workload("shop", "", "checkout", "checkout")})
    found = _advice("waste_cpu_request", {"container_cpu_request_cores": 1.0}, nobody, labels, resize={"to": 0.1})
    assert found is not None
    assert "patch" not in found.values
    assert "set resources.requests.cpu of server to 100m; there is no patch: no series says who owns" in found.action


def test_a_container_that_the_template_does_not_have_is_not_added() -> None:
    """An init container, or one that something injects."""
    labels = {**CONTAINER, "container": "migrate"}
    found = _advice("waste_cpu_request", {"container_cpu_request_cores": 1.0}, KNOWN, labels, resize={"to": 0.1})
    assert found is not None
    assert "migrate is none of the containers" in found.action


def test_what_runs_elsewhere_keeps_its_words() -> None:
    """A container of Docker has no workload."""
    labels = {"service": "host", "container": "web"}
    for rule in ("waste_container_cpu", "container_throttled", "waste_replicas"):
        found = _advice(rule, {"container_cpu_limit_cores": 1.0}, KNOWN, labels, resize={"to": 0.1})
        assert found is not None
        assert found.action == "Do it." or rule == "waste_replicas"
