"""Incidents: which findings belong together, and their probable cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents import Topology, group_incidents, read_topology
from perfloop_analyzer.incidents.causes import robust_deviation

if TYPE_CHECKING:
    from pathlib import Path


def _busy(build: Any) -> Finding:
    names = {"signal": "cpu_used_ratio", "component": "cpu", "kind": "use", "service": "host"}
    found: Finding = build.finding(**names, labels={"service": "host"})
    return found


def _equal(_finding: Finding) -> float:
    return 2.0


def test_a_slow_database_is_the_cause_of_the_slow_api(build: Any) -> None:
    """The callee that deviates is the root, the caller its victim."""
    database = build.finding(onset=1005.0)
    api = build.finding(signal="api_response_time_p95", component="api", onset=1000.0, severity=Severity.CRITICAL)
    (incident,) = group_incidents([api, database], Topology(), _equal)
    assert [cause.component for cause in incident.causes] == ["database", "api"]
    assert sum(cause.score for cause in incident.causes) == pytest.approx(1.0, abs=1e-5)
    assert incident.severity is Severity.CRITICAL
    assert incident.started == 1000.0


def test_a_busy_machine_explains_its_slow_services(build: Any) -> None:
    """CPU of the host stands behind the services that live on it."""
    cpu = build.finding(
        signal="cpu_used_ratio", component="cpu", kind="use", service="host", labels={"service": "host"}
    )
    (incident,) = group_incidents([build.finding(unit="seconds"), cpu], Topology(), _equal)
    assert (incident.causes[0].service, incident.causes[0].component) == ("host", "cpu")
    assert incident.services == ("host", "shop")


def test_a_busy_machine_does_not_explain_errors_or_an_empty_cache(build: Any) -> None:
    """It makes things slow; failing requests and misses have another cause."""
    for signal, component in (("error_ratio", "api"), ("cache_hit_ratio", "cache")):
        found = build.finding(signal=signal, component=component, unit="ratio")

        def deviation(finding: Finding) -> float:
            return 1.8 if finding.component == "cpu" else 3.0

        apart = group_incidents([_busy(build), found], Topology(), deviation)
        assert {one.causes[0].component for one in apart} == {"cpu", component}
    slow = build.finding(signal="api_response_time_p95", component="api", unit="seconds")
    (incident,) = group_incidents([_busy(build), found, slow], Topology(), deviation)
    assert incident.causes[0].component == "cache"


def test_a_machine_that_was_busy_for_minutes_is_an_incident_of_its_own(build: Any) -> None:
    """What a machine does to its services shows soon; what began minutes later has another cause."""
    late = build.finding(unit="seconds", onset=_busy(build).onset + 300.0)
    assert len(group_incidents([_busy(build), late], Topology(), _equal)) == 2


def test_a_full_pool_explains_those_who_wait_for_it(build: Any) -> None:
    """A share ends at one while a queue's delay has no end; a pool that was always full explains nothing."""
    pool = build.finding(signal="db_pool_used_ratio", kind="use", unit="ratio", severity=Severity.CRITICAL)
    api = build.finding(signal="api_response_time_p95", component="api", unit="seconds", severity=Severity.CRITICAL)
    for moved, root in ((2.3, "database"), (0.0, "api")):
        deviations = {"database": moved, "api": 4.7}
        (incident,) = group_incidents([pool, api], Topology(), lambda finding, d=deviations: d[finding.component])
        assert incident.causes[0].component == root


def test_a_machine_that_was_always_busy_is_not_the_cause(build: Any) -> None:
    """A breach without a deviation is a bottleneck, not the cause of what changed."""
    cpu = build.finding(
        signal="cpu_used_ratio", component="cpu", kind="use", service="host", labels={"service": "host"}
    )

    def deviation(finding: Finding) -> float:
        return 0.0 if finding.component == "cpu" else 3.0

    (incident,) = group_incidents([cpu, build.finding(unit="seconds")], Topology(), deviation)
    assert incident.causes[0].component == "database"


def test_unrelated_and_old_findings_stay_apart(build: Any) -> None:
    """A finding of another service, and one that began long before, are incidents of their own."""
    other = build.finding(service="mail", labels={"service": "mail"})
    old = build.finding(signal="cache_hit_ratio", component="cache", onset=-9000.0)
    assert len(group_incidents([build.finding(), other, old], Topology(), _equal)) == 3


def test_the_call_graph_joins_services(build: Any) -> None:
    """With the graph known, the called service is the cause of its caller's findings."""
    names = {"service": "web", "component": "api", "signal": "api_response_time_p95"}
    caller = build.finding(**names, labels={"service": "web"})
    topology = Topology(calls={"web": frozenset({"shop"})})
    (incident,) = group_incidents([caller, build.finding()], topology, _equal)
    assert incident.causes[0].service == "shop"


def test_no_findings_no_incidents() -> None:
    """There is nothing to group."""
    assert group_incidents([], Topology(), _equal) == ()


def test_a_topology_file_is_strict(tmp_path: Path) -> None:
    """A call graph is read; an unknown field in it is an error."""
    path = tmp_path / "calls.yml"
    path.write_text("services: [{service: web, calls: [shop]}]\nhosts: {node1: [shop]}\n")
    topology = read_topology(path)
    assert topology.depends(("web", "api"), ("shop", "database"))
    assert topology.depends(("shop", "api"), ("node1", "cpu"))
    assert not topology.depends(("web", "api"), ("node1", "cpu"))
    path.write_text("services: []\nedges: []\n")
    with pytest.raises(ConfigError, match="unknown field 'edges'"):
        read_topology(path)


def test_deviation_is_signed_floored_and_needs_a_baseline() -> None:
    """Worse counts, better does not; a flat baseline does not explode; three points are no baseline."""
    reference = np.array([[1.0, 1.1, 0.9, 1.0, 1.05]])
    up, down = np.array([[3.0, 3.0, 3.0]]), np.array([[0.1, 0.1, 0.1]])
    assert robust_deviation(reference, up, 0.0, above=True)[0] > 2
    assert robust_deviation(reference, down, 0.0, above=True)[0] == 0
    assert robust_deviation(reference, down, 0.0, above=False)[0] > 1
    assert robust_deviation(np.zeros((1, 9)), np.full((1, 3), 0.01), 0.5, above=True)[0] < 0.1
    assert robust_deviation(reference[:, :3], up, 0.0, above=True)[0] == 0
    assert robust_deviation(np.full((1, 9), np.nan), up, 0.0, above=True)[0] == 0
