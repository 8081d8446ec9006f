"""The causes of a symptom that somebody names, from a whole cycle's series; calls that are learned from metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from fastapi.testclient import TestClient

from perfloop_analyzer.catalog import Signal, load_catalog
from perfloop_analyzer.incidents import Topology
from perfloop_analyzer.incidents.causes import robust_deviation
from perfloop_analyzer.pipeline import Knowledge, analyze
from perfloop_analyzer.pipeline.symptom import Symptom, explain_symptom
from perfloop_analyzer.ports import Responses
from perfloop_analyzer.published import Published
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.server import WebSettings, build_web
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POINTS = 240
LATENCY = Signal(name="latency", expr="latency", component="api", kind="red", unit="seconds")
AVAILABLE = Signal(name="available", expr="a", component="api", kind="red", unit="ratio", direction="below")
CATALOG = (LATENCY, AVAILABLE)
CALLS = Topology({"web": frozenset({"shop", "mail"}), "shop": frozenset({"store"})})


def _batch(signal: str, rows: Mapping[str, np.ndarray], step: float = 300.0) -> Batch:
    labels = tuple({"service": one} for one in rows)
    return Batch(signal, Grid(1e6, step, POINTS), labels, np.array(list(rows.values())))


def _slow(rng: np.random.Generator, added: Mapping[str, float], points: int = 2) -> Batch:
    rows = {one: 0.1 * (1 + 0.05 * rng.standard_normal(POINTS)) for one in ("web", "shop", "mail", "store", "other")}
    for service, seconds in added.items():
        rows[service][-points:] += seconds
    return _batch("latency", rows)


def _names(batches: Sequence[Batch], symptom: Symptom, topology: Topology = CALLS) -> list[str]:
    found = explain_symptom(symptom, {one.signal: one for one in batches}, CATALOG, topology)
    return [cause.service for cause in found]


def test_two_points_after_the_onset_the_walk_ends_at_the_root(rng: np.random.Generator) -> None:
    """Nobody says when it began, and no detector is needed."""
    latency = _slow(rng, {"web": 0.08, "shop": 0.1, "store": 0.1, "other": 0.5})
    assert _names([latency], Symptom("web", "latency"))[:2] == ["store", "other"]


def test_the_walk_follows_the_symptoms_own_measure(rng: np.random.Generator) -> None:
    """Failures of web come from what fails behind it, not from what is slow."""
    rows = {one: np.ones(POINTS) for one in ("web", "shop", "mail", "store")}
    for service, lost in (("web", 0.03), ("mail", 0.1)):
        rows[service][-2:] -= lost
    batches = [_slow(rng, {"store": 1.0, "shop": 1.0}), _batch("available", rows)]
    assert _names(batches, Symptom("web", "available")) == ["mail", "web"]


def test_without_calls_the_services_are_ranked_all_the_same(rng: np.random.Generator) -> None:
    """By how far each deviates from its own past; what did not move is not named."""
    latency = _slow(rng, {"web": 0.04, "store": 0.3})
    assert _names([latency], Symptom("web", "latency"), Topology()) == ["store", "web"]
    assert _names([latency], Symptom("nobody", "latency")) == []


def test_a_service_that_always_moves_comes_after_one_that_moved_now(rng: np.random.Generator) -> None:
    """Deviations are judged by the series' own history of deviations."""
    restless = np.zeros((1, 200))
    restless[0, ::9] = 30.0
    reference = np.vstack([restless, np.zeros((1, 200))]) + rng.standard_normal((2, 200))
    post = np.array([[30.0, 0.0, 0.0], [15.0, 15.0, 15.0]])
    always, now = robust_deviation(reference, post, 0.0, above=True)
    assert always < 1.0 < now


def test_a_share_that_falls_from_its_top_is_measured_by_what_is_missing() -> None:
    """Three failures in a hundred are much for a service that never failed, and in percent as much as in shares."""
    for scale in (1.0, 100.0):
        falls = robust_deviation(np.full((1, 50), scale), np.full((1, 3), 0.97 * scale), 0.0, above=False)
        assert 1.0 < falls[0] < 2.0


def test_calls_are_learned_from_metrics() -> None:
    """Whoever had a rate in the window is called; the file's calls of a service hold as they are."""
    pairs = (("web", "shop"), ("shop", "store"), ("web", "gone"), ("web", "web"))
    rates = np.array([[1.0, 1.0], [0.0, 2.0], [0.0, 0.0], [1.0, 1.0]])
    batch = Batch("calls", Grid(0.0, 5.0, 2), tuple({"caller": one, "called": other} for one, other in pairs), rates)
    learned = Topology({"shop": frozenset({"cache"})}).learn([batch])
    assert learned.calls == {"web": frozenset({"shop"}), "shop": frozenset({"cache"})}
    assert Topology().learn([]) == Topology()


def test_the_shipped_catalogue_learns_calls_and_no_health_of_them(rng: np.random.Generator) -> None:
    """A mesh's series are no service; with them the incident's first cause is the called one."""
    counts = Batch(
        "calls_of_istio", Grid(1e6, 5.0, POINTS), ({"caller": "web", "called": "store"},), np.ones((1, POINTS))
    )
    rows = {one: 0.1 + 0.005 * rng.standard_normal(POINTS) for one in ("web", "store")}
    for row in rows.values():
        row[-6:] += 2.0
    batches = {"calls_of_istio": counts, "api_response_time_p95": _batch("api_response_time_p95", rows, 5.0)}
    result = analyze(Responses(batches, {}), Knowledge(load_catalog(), ()), 1e6)
    assert {one.service for one in result.health} == {"overall", "web", "store"}
    (incident,) = result.incidents
    assert incident.causes[0].service == "store"
    assert [one["service"] for one in result.as_dict()["suspects"]] == ["store", "web"]


def test_the_api_explains_any_symptom(rng: np.random.Generator) -> None:
    """The causes of what an alert names; 404 where nothing is measured of it, 503 before the first result."""
    batches = {"latency": _slow(rng, {"web": 0.08, "shop": 0.1, "store": 0.1})}
    published = Published(catalog=CATALOG, batches=batches, topology=CALLS)
    client = TestClient(build_web(published, Database("sqlite://"), WebSettings()))
    question = {"service": "web", "signal": "latency"}
    assert client.get("/api/v1/causes", params=question).status_code == 503
    published.publish(analyze(Responses(batches, {}), Knowledge(CATALOG, ()), 1e6))
    answer = client.get("/api/v1/causes", params=question)
    assert answer.json()["causes"][0]["service"] == "store"
    assert client.get("/api/v1/causes", params=question | {"service": "nobody"}).status_code == 404
    assert client.get("/api/v1/causes", params={"service": "web"}).status_code == 422


def test_persistence_is_a_time(rng: np.random.Generator) -> None:
    """At steps of a minute two minutes are enough; at the shipped five seconds three points are, and two are not."""
    for step, points, found in ((60.0, 2, True), (60.0, 1, False), (5.0, 3, True), (5.0, 2, False)):
        rows = {"shop": 0.1 + 0.005 * rng.standard_normal(POINTS)}
        rows["shop"][-points:] += 1.0
        batches = {"latency": _batch("latency", rows, step)}
        assert bool(analyze(Responses(batches, {}), Knowledge(CATALOG, ()), 1e6).findings) is found
