"""The walk from a symptom along the calls, and what it does to the ranking of causes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents import Movement, Topology, group_incidents, rank_services
from perfloop_analyzer.incidents.causes import rank_causes
from perfloop_analyzer.incidents.walk import EXPLAINED, Step, walk_calls

CALLS = {"web": frozenset({"shop", "mail"}), "shop": frozenset({"store"}), "mail": frozenset({"store"})}


def _movement(service: str, deviation: float, change: float) -> Movement:
    return Movement(service, "api", "Response time", "seconds", deviation, change, 1.0 + change, 1.0, 1000.0)


def _walk(moves: dict[str, tuple[float, float]], calls: dict[str, frozenset[str]] = CALLS) -> dict[str, Step]:
    found = {service: _movement(service, *one) for service, one in moves.items()}
    return walk_calls("web", calls, found.get)


def test_the_root_is_what_moved_without_a_callee_that_moved() -> None:
    """Callers are explained by the callees whose change is as large as their own."""
    steps = _walk({"web": (3.0, 1.0), "shop": (3.0, 1.0), "mail": (0.2, 0.1), "store": (3.0, 1.0)})
    assert {service: step.unexplained for service, step in steps.items()} == {
        "web": pytest.approx(EXPLAINED),
        "shop": pytest.approx(EXPLAINED),
        "store": 1.0,
    }


def test_a_callee_explains_no_more_than_its_own_change() -> None:
    """A store that is 10 ms slower does not explain a shop that is 1 s slower, however unusual it is for the store."""
    steps = _walk({"web": (3.0, 1.0), "shop": (3.0, 1.0), "store": (9.0, 0.01)})
    assert steps["shop"].unexplained > 0.99


def test_a_service_without_metrics_is_walked_through() -> None:
    """Its callees stand for it; a service that did not move ends the walk."""
    assert set(_walk({"web": (3.0, 1.0), "store": (3.0, 1.0)})) == {"web", "store"}
    assert set(_walk({"web": (3.0, 1.0), "shop": (0.1, 0.0), "mail": (0.1, 0.0), "store": (3.0, 1.0)})) == {"web"}


NAMES = st.sampled_from([f"s{one}" for one in range(6)])


@given(calls=st.dictionaries(NAMES, st.frozensets(NAMES)), moves=st.dictionaries(NAMES, st.floats(0, 9)))
def test_the_walk_ends_in_any_graph(calls: dict[str, frozenset[str]], moves: dict[str, float]) -> None:
    """Services that call each other, or themselves, do not hold it up; shares stay within their bounds."""
    found = {service: _movement(service, one, one) for service, one in moves.items()}
    steps = walk_calls("s0", calls, found.get)
    assert set(steps) <= set(found)
    assert all(EXPLAINED - 1e-9 <= step.unexplained <= 1.0 for step in steps.values())


def test_a_callee_that_no_detector_reports_is_a_cause(build: Any) -> None:
    """The API of web is slow, the store behind it as well, though within what its detector allows."""
    names = {"component": "api", "signal": "api_response_time_p95", "unit": "seconds"}
    web = build.finding(**names, service="web", labels={"service": "web"})
    moves = {
        "web": _movement("web", 2.0, 1.0),
        "shop": _movement("shop", 2.0, 1.0),
        "store": _movement("store", 2.5, 1.0),
    }

    def movement(_symptom: Finding, service: str) -> Movement | None:
        return moves.get(service)

    (incident,) = group_incidents([web], Topology(CALLS), lambda _: 2.0, movement)
    assert incident.causes[0].service == "store"
    assert incident.causes[0].evidence == ("Response time of store is 2 s, expected 1 s",)
    assert sum(cause.score for cause in incident.causes) == 1.0


def test_a_loud_bystander_comes_after_the_walk(build: Any) -> None:
    """What the walk does not reach counts a third, where the calls are known."""
    names = {"component": "api", "signal": "api_response_time_p95", "unit": "seconds"}
    found = [build.finding(**names, service=one, labels={"service": one}) for one in ("web", "shop", "mail")]
    steps = _walk({"web": (3.0, 1.0), "shop": (2.0, 1.0)}, {"web": frozenset({"shop"}), "mail": frozenset()})
    causes = rank_causes(found, Topology({"web": frozenset({"shop"}), "mail": frozenset()}), _loud_mail, steps)
    assert [cause.service for cause in causes] == ["shop", "mail", "web"]


def _loud_mail(finding: Finding) -> float:
    return {"web": 3.0, "shop": 2.0, "mail": 4.0}[finding.service]


def test_incidents_compete_by_suspicion(build: Any) -> None:
    """A limit that was always exceeded does not come before what moved now, however severe; an outage comes first."""
    always = build.finding(service="old", labels={"service": "old"}, severity=Severity.CRITICAL, onset=0.0)
    moved = build.finding(service="shop", labels={"service": "shop"}, severity=Severity.INFO)
    down = build.finding(
        service="mail", labels={"service": "mail"}, component="availability", severity=Severity.CRITICAL
    )

    def deviation(finding: Finding) -> float:
        return 3.0 if finding.service == "shop" else 0.0

    incidents = group_incidents([always, moved, down], Topology(), deviation)
    assert [one.services for one in incidents] == [("mail",), ("shop",), ("old",)]
    assert [service for service, _ in rank_services(incidents)] == ["mail", "shop", "old"]


def test_both_sides_of_a_service_count_together(build: Any) -> None:
    """Its own CPU explains a service's latency, and makes it no less suspicious than one that waits for it."""
    slow = {"component": "api", "signal": "api_response_time_p95", "unit": "seconds"}
    busy = {"component": "cpu", "signal": "process_cpu_cores", "kind": "use", "unit": "cores"}
    found = [
        build.finding(**slow, service="root", labels={"service": "root"}),
        build.finding(**busy, service="root", labels={"service": "root"}),
        build.finding(**slow, service="victim", labels={"service": "victim"}),
    ]

    def deviation(finding: Finding) -> float:
        return 2.4 if finding.service == "victim" else 2.0

    ranked = rank_services(group_incidents(found, Topology(), deviation))
    assert [service for service, _ in ranked] == ["root", "victim"]
