"""What a message may say about a signal: the cause of its own incident, and a recommendation that changes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from perfloop_analyzer.findings import Severity
from perfloop_analyzer.incidents import Cause, Topology, group_incidents
from perfloop_analyzer.ports import Result
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.reporters.explanations import explain_signals

if TYPE_CHECKING:
    from tests.analyzer.conftest import Build


def _recommendation(
    name: str, component: str, *affects: str, state: str = "open", priority: str = "high"
) -> Recommendation:
    return Recommendation(
        name, name, "shop", component, component, priority, name, "", "low", "low", affects, (), state=state
    )


def _result(build: Build, *recommendations: Recommendation) -> Result:
    """Slow queries that make the API slow, and failing requests."""
    findings = [
        build.finding(signal="db_query_time_p95", component="database", onset=100.0, severity=Severity.CRITICAL),
        build.finding(signal="api_response_time_p95", component="api", onset=110.0, severity=Severity.WARNING),
        build.finding(signal="error_ratio@/report", component="api", onset=110.0, severity=Severity.WARNING),
    ]
    incidents = group_incidents(findings, Topology(), lambda one: 5.0 if one.component == "database" else 1.0)
    return Result(200.0, findings=tuple(findings), incidents=incidents, recommendations=recommendations)


def test_the_recommendation_is_one_that_changes_the_signal(build: Build) -> None:
    """Failing requests get no advice to become faster, whatever is the most urgent for the service."""
    queries = _recommendation("queries", "database", "db_query_time_p95", "api_response_time_p95", priority="critical")
    slow = _recommendation("slow", "api", "api_response_time_p95", priority="critical")
    failing = _recommendation("failing", "api", "error_ratio", priority="low")
    found = {one.signal: one for one in explain_signals(_result(build, slow, queries, failing))}
    advice = {signal: one.recommendation.id for signal, one in found.items() if one.recommendation}
    assert advice == {"db_query_time_p95": "queries", "api_response_time_p95": "queries", "error_ratio": "failing"}
    assert {one.cause for one in found.values()} == {"database"}, "the incident has one first cause"


def test_nothing_is_recommended_where_nothing_fits(build: Build) -> None:
    """No recommendation is better than one about something else, or one that was carried out."""
    done = _recommendation("done", "api", "error_ratio", state="implemented")
    slow = _recommendation("slow", "api", "api_response_time_p95")
    found = {one.signal: one.recommendation for one in explain_signals(_result(build, done, slow))}
    assert found["error_ratio"] is None


def test_the_first_cause_is_named_wherever_it_is(build: Build) -> None:
    """A machine without CPU to spare is what makes the API slow, whatever the API's own share of the suspicion is."""
    labels = {"instance": "a:9100"}
    findings = [
        build.finding(signal="cpu_used_ratio", component="cpu", service="host", labels=labels, onset=100.0),
        build.finding(signal="api_response_time_p95", component="api", onset=110.0, unit="seconds"),
    ]
    incidents = group_incidents(findings, Topology(), lambda one: 9.0 if one.component == "cpu" else 0.1)
    found = explain_signals(Result(200.0, findings=tuple(findings), incidents=incidents))
    named = {one.signal: (one.cause, one.score > 0.5) for one in found}
    assert named == {"cpu_used_ratio": ("CPU", True), "api_response_time_p95": ("CPU of host", True)}


def test_no_cause_is_named_where_none_stands_out(build: Build) -> None:
    """Four services that deviate alike: a quarter of the suspicion is a guess."""
    names = ("a", "b", "c", "d")
    findings = [
        build.finding(signal="error_ratio", component="api", service=name, labels={"service": name}) for name in names
    ]
    causes = tuple(Cause(name, "api", 0.25, 1.0, 0.0, ()) for name in names)
    (incident, *_) = group_incidents(findings, Topology(), lambda _one: 1.0)
    found = explain_signals(Result(200.0, incidents=(replace(incident, causes=causes),)))
    assert [one.cause for one in found] == [""] * len(found)


def test_another_service_s_incident_explains_nothing(build: Build) -> None:
    """Each signal has the cause of the incident that it is part of, named with its service where that is another."""
    result = _result(build)
    labels = {"service": "orders"}
    apart = build.finding(signal="error_ratio", component="api", service="orders", labels=labels, onset=9000.0)
    orders = group_incidents([apart], Topology(), lambda _finding: 1.0)
    found = explain_signals(replace(result, incidents=(*result.incidents, *orders)))
    assert {(one.service, one.signal): one.cause for one in found}["orders", "error_ratio"] == "API"


def test_one_series_for_each_service_and_signal(build: Build) -> None:
    """Two series would break every rule that joins them to an alert."""
    found = explain_signals(_result(build))
    keys = [(one.service, one.signal) for one in found]
    assert len(keys) == len(set(keys)) == 3
