"""What a recommendation says: which part is the worst, how much less of what, in which order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.findings import Severity
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.recommend import Context, by_urgency, find_parts, gain_words, load_rules, recommend
from perfloop_analyzer.recommend.gains import share_range
from perfloop_analyzer.recommend.improvement import compute
from perfloop_analyzer.recommend.recommendation import Recommendation, from_dict
from perfloop_analyzer.recommend.rules import Computation
from perfloop_analyzer.series import Batch, Grid
from tests.analyzer.recommend.test_engine import Numbers

if TYPE_CHECKING:
    from perfloop_analyzer.findings import Finding

CATALOG = {signal.name: signal for signal in load_catalog()}
TITLES = {name: signal.title for name, signal in CATALOG.items()}
RETURN = Computation(method="return_to_expected")


def _finding(build: Any, name: str, **changes: Any) -> Finding:
    """A finding about a signal of the catalogue, beyond its limit."""
    signal = CATALOG[name]
    limit = signal.limit.warning or 1.0
    value, before = (limit * 2, limit / 2) if signal.direction == "above" else (limit / 2, min(1.0, limit * 1.2))
    fields: dict[str, Any] = {
        "signal": name,
        "title": signal.title,
        "component": signal.component,
        "kind": signal.kind,
        "unit": signal.unit,
        "direction": signal.direction,
        "limit": limit,
        "value": value,
        "expected": before,
    }
    found: Finding = build.finding(**(fields | changes))
    return found


def _recommend(finding: Finding, rows: dict[tuple[str, ...], float] | None = None) -> tuple[Recommendation, ...]:
    """The recommendations for one finding; `rows` are the values of the parts, by what their labels say."""
    parts = CATALOG[finding.signal].parts if finding.signal in CATALOG else None
    batches = {}
    if rows and parts:
        labels = tuple(
            {**{k: v for k, v in finding.labels.items() if k != "job"}, **dict(zip(parts.by, names, strict=True))}
            for names in rows
        )
        values = np.array([[value, value] for value in rows.values()])
        batches[finding.signal] = Batch(finding.signal, Grid(0.0, 15.0, 2), labels, values)
    incidents = group_incidents([finding], Topology(), lambda _finding: 2.0)
    return recommend(incidents, load_rules(), Context(Numbers(), 5000.0, TITLES, find_parts(batches, CATALOG)))


@pytest.mark.parametrize(
    ("name", "labels", "rows", "words"),
    [
        ("api_response_time_p95", {}, {("/report",): 1.95, ("/search",): 0.4}, "/report of shop"),
        ("error_ratio", {}, {("/pay",): 0.9, ("/cart",): 0.0}, "/pay of shop"),
        ("timeout_ratio", {}, {("/a",): 0.1, ("/b",): 0.3}, "/b of shop"),
        (
            "db_query_time_p95",
            {"db_system_name": "postgresql"},
            {("SELECT",): 2.0, ("INSERT",): 0.1},
            "(SELECT) of shop",
        ),
        ("db_pool_used_ratio", {"pool": "reports"}, None, "pool reports of shop"),
        ("cache_hit_ratio", {"cache": "sessions"}, None, "sessions in shop"),
        ("filesystem_used_ratio", {"mountpoint": "/data"}, None, "/data of shop"),
        ("filesystem_used_ratio", {"mountpoint": "/data"}, {("db1",): 0.99, ("db2",): 0.2}, "/data of db1 of shop"),
        (
            "disk_io_bytes_per_second",
            {},
            {("read", "sda", "h1"): 9e8, ("read", "sdb", "h1"): 1.0},
            "of shop (read on sda)",
        ),
        (
            "disk_io_bytes_per_second",
            {},
            {("read", "sda", "h1"): 9e8, ("read", "sda", "h2"): 1.0},
            "(read on sda on h1)",
        ),
        (
            "network_io_bytes_per_second",
            {},
            {("sent", "eth0", "h1"): 9e8, ("received", "eth0", "h1"): 1.0},
            "(sent on eth0)",
        ),
        ("model_inference_time_p95", {"gen_ai_request_model": "llama"}, None, "of llama"),
        ("vllm_requests_waiting", {"model_name": "qwen"}, None, "of qwen"),
        ("gpu_used_ratio", {"gpu": "3", "UUID": "GPU-1"}, None, "GPU 3 on shop"),
        ("cpu_used_ratio", {}, {("h1",): 0.99, ("h2",): 0.1}, "h1 of shop"),
        ("memory_used_ratio", {}, {("h1",): 0.99, ("h2",): 0.1}, "h1 of shop"),
        ("availability", {}, {("a:1",): 0.0, ("b:1",): 1.0}, "a:1 of shop"),
    ],
)
def test_a_recommendation_names_the_worst_part(
    build: Any, name: str, labels: dict[str, str], rows: dict[tuple[str, ...], float] | None, words: str
) -> None:
    """From the finding's own labels, or from the worst part at that moment."""
    for recommendation in _recommend(_finding(build, name, labels={"service": "shop", **labels}), rows):
        assert words in recommendation.title


def test_one_machine_and_equal_parts_are_not_named(build: Any) -> None:
    """An only instance distinguishes nothing, and where every target is down none stands out."""
    (cpu,) = _recommend(_finding(build, "cpu_used_ratio"), {("h1:9100",): 0.99})
    assert "h1" not in cpu.title
    gone = _finding(build, "availability", value=0.0, severity=Severity.CRITICAL)
    (down,) = _recommend(gone, {("a:1",): 0.0, ("b:1",): 0.0})
    assert down.title == "Availability: bring shop back: it does not answer"
    (two,) = _recommend(_finding(build, "availability"), {("a:1",): 0.0, ("b:1",): 0.0, ("c:1",): 1.0})
    assert "a:1 and b:1 of shop" in two.title


def test_the_worst_three_parts_are_shown_with_their_values(build: Any) -> None:
    """As the alert shows them; the id is the same whichever part is the worst."""
    finding = _finding(build, "api_response_time_p95")
    routes = {(f"/r{i}",): i / 10 for i in range(1, 6)}
    (recommendation,) = _recommend(finding, routes)
    assert recommendation.values["parts"] == ["/r5 500 ms", "/r4 400 ms", "/r3 300 ms"]
    assert recommendation.id == _recommend(finding)[0].id


def test_a_route_with_limits_of_its_own_is_named(build: Any) -> None:
    """Its signal is about nothing else."""
    finding = replace(_finding(build, "api_response_time_p95"), signal="api_response_time_p95@/v1/chat")
    assert "/v1/chat of shop" in _recommend(finding)[0].title


def test_every_title_of_the_shipped_rules_is_whole(build: Any) -> None:
    """For every signal, with no labels and no parts: nothing is left open, doubled or empty."""
    for name in {name for rule in load_rules() for name in rule.signals}:
        for detector in ("threshold", "forecast", "burn", "absence"):
            for recommendation in _recommend(_finding(build, name, detector=detector)):
                assert not re.search(r"[{}]|\(\)|  | of of | it of ", recommendation.title), recommendation.title


def test_a_gain_says_of_what(build: Any) -> None:
    """For every signal that a rule answers the words name the metric and the service, and how much."""
    for name in {name for rule in load_rules() for name in rule.signals}:
        for recommendation in _recommend(_finding(build, name)):
            if recommendation.improvement is None:
                continue
            words = gain_words(recommendation.improvement)
            assert re.fullmatch(r".+ of \S+ (-\d+ to )?-?\d+%", words), words
            assert from_dict(recommendation.as_dict()) == recommendation
    (slow,) = _recommend(_finding(build, "api_response_time_p95", value=2.0, expected=0.88, limit=0.88))
    assert gain_words(slow.improvement) == "API response time, 95th percentile of shop -56%"
    (hits,) = _recommend(_finding(build, "postgres_cache_hit_ratio", labels={"service": "shop", "instance": "db1"}))
    assert hits.gain_of == "Gap of PostgreSQL buffer cache hit ratio to 100% (db1) of shop"


def test_why_there_is_no_gain_is_said(build: Any) -> None:
    """In the recommendation itself, which every program shows."""
    (recommendation,) = _recommend(_finding(build, "error_ratio", value=float("nan"), expected=0.01))
    assert recommendation.improvement is None
    assert recommendation.values["unknown_gain"] == "Not known: Failed requests has no usable value now and before."
    assert from_dict(recommendation.as_dict()) == recommendation


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.56, 0.56, "56%"),
        (0.559, 0.561, "56%"),
        (0.2, 0.56, "20 to 56%"),
        (-0.001, 0.001, "0%"),
        (-0.2, -0.56, "-20 to -56%"),
        (0.0, 0.0, "0%"),
    ],
)
def test_a_range_with_equal_ends_is_one_figure(low: float, high: float, words: str) -> None:
    """Equal as they are shown, and nothing is minus zero."""
    assert share_range(low, high) == words


def test_no_limit_is_spoken_of_where_there_is_none(build: Any) -> None:
    """Nor where the way to it rounds to nothing, or is the way back."""
    for changes in ({"limit": None}, {"limit": 5.0}):
        finding = build.finding(value=2.0, expected=0.5, **changes)
        improvement = compute(RETURN, finding, Numbers())
        assert improvement is not None
        assert "limit" not in improvement.explanation
    improvement = compute(RETURN, build.finding(value=2.0, expected=0.5, limit=1.0), Numbers())
    assert improvement is not None
    assert improvement.explanation.endswith("reduces it by 75%, to the limit by 50%")


def _one(identifier: str, priority: str, gain: float | None, build: Any) -> Recommendation:
    plain = Recommendation(identifier, "r", "shop", "api", "api", priority, "T", "do", "low", "none", (), ())
    improvement = (
        compute(RETURN, build.finding(value=1.0, expected=1.0 - gain, limit=None), Numbers()) if gain else None
    )
    return replace(plain, improvement=improvement)


def test_the_order_is_priority_then_expected_gain(build: Any) -> None:
    """The one order of every list: what has no computed gain comes last of its priority."""
    made = [
        _one("a", "low", 0.99, build),
        _one("b", "high", 0.2, build),
        _one("c", "critical", 0.1, build),
        _one("d", "high", None, build),
        _one("e", "high", 0.7, build),
        _one("f", "medium", 0.9, build),
    ]
    assert [one.id for one in by_urgency(made)] == ["c", "e", "b", "d", "f", "a"]
    assert by_urgency(reversed(made)) == by_urgency(made)
