"""`optimization_analyzer`: the examples of the user's page, with only their import line changed, and unusual input."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from perfloop import optimization_analyzer
from perfloop_analyzer import OptimizationAnalyzer
from perfloop_analyzer.errors import AnalyzerError


@pytest.fixture
def metrics_data() -> dict[str, Any]:
    """Measurements of an overloaded system, as a monitor collects them."""
    rng = np.random.default_rng(1)
    api_metrics = [float(value) for value in rng.normal(2600, 100, 200)]
    start = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    db_metrics = [
        {"value": float(value), "timestamp": (start + timedelta(seconds=i)).isoformat(), "tags": {}}
        for i, value in enumerate(rng.normal(260, 20, 120))
    ]
    cache_metrics = [62.0, 61.0, 60.0]
    system_metrics = [
        {"timestamp": start.timestamp() + i, "cpu_percent": 97.0, "memory_percent": 55.0, "disk_usage_percent": 40.0}
        for i in range(30)
    ]
    return {
        "metrics": {
            "api_response_time_ms": api_metrics,
            "database_query_time_ms": db_metrics,
            "cache_hit_rate_percent": cache_metrics,
        },
        "system_metrics": system_metrics,
    }


def test_the_example_of_key_features(metrics_data: dict[str, Any]) -> None:
    """Recommendations, bottlenecks and a health score come back under the names of the page."""
    # Analyze performance data
    analysis = optimization_analyzer.analyze_performance_data(metrics_data)

    # Get recommendations
    recommendations = analysis["recommendations"]
    bottlenecks = analysis["bottlenecks"]
    health_score = analysis["system_health_score"]

    assert {"database", "caching", "api", "infrastructure"} <= {rec["category"] for rec in recommendations}
    assert {"database", "cache", "api", "cpu"} == {one["resource"] for one in bottlenecks}
    assert 0 <= health_score < 60


async def test_the_example_of_implementing_recommendations(metrics_data: dict[str, Any]) -> None:
    """Priorities are the words that the page sorts by."""
    implemented, scheduled = [], []

    async def implement_optimization(rec: dict[str, Any]) -> None:
        implemented.append(rec)

    def schedule_optimization(rec: dict[str, Any]) -> None:
        scheduled.append(rec)

    # Run analysis
    analysis = optimization_analyzer.analyze_performance_data(metrics_data)

    # Get optimization recommendations
    recommendations = analysis["recommendations"]

    for rec in recommendations:
        if rec["priority"] == "critical":
            # Implement immediately
            await implement_optimization(rec)
        elif rec["priority"] == "high":
            # Schedule for next sprint
            schedule_optimization(rec)

    assert implemented
    assert scheduled


def test_the_example_of_usage(metrics_data: dict[str, Any], capsys: Any) -> None:
    """Title and expected improvement can be printed."""
    # Analyze performance data
    analysis = optimization_analyzer.analyze_performance_data(metrics_data)

    # Check system health
    health_score = analysis["system_health_score"]
    print(f"System health: {health_score}/100")  # noqa: T201 - the example prints

    # Review recommendations
    for rec in analysis["recommendations"]:
        if rec["priority"] == "critical":
            print(f"CRITICAL: {rec['title']}")  # noqa: T201 - the example prints
            print(f"Expected improvement: {rec['expected_improvement']}")  # noqa: T201 - the example prints

    printed = capsys.readouterr().out
    assert "CRITICAL: " in printed
    assert "% less" in printed


def test_health_adds_up(metrics_data: dict[str, Any]) -> None:
    """The score is a hundred minus its parts."""
    analysis = OptimizationAnalyzer().analyze_performance_data(metrics_data)
    assert analysis["system_health_score"] == 100 - sum(analysis["health_penalties"].values())


def test_a_healthy_system_scores_a_hundred() -> None:
    """Nothing is recommended where nothing is wrong."""
    analysis = OptimizationAnalyzer().analyze_performance_data(
        {"metrics": {"api_response_time_ms": [120.0, 130.0]}, "system_metrics": {"cpu_percent": 20}}
    )
    assert (analysis["system_health_score"], analysis["recommendations"]) == (100.0, [])


@dataclass
class Point:
    """What a monitor's own history holds."""

    value: float
    timestamp: float


@pytest.mark.parametrize(
    "value",
    [
        2600,
        [2600, 2500.0],
        {"p95": 2600, "mean": 900},
        {"mean": 2600},
        {"values": [2600]},
        [{"value": 2600}],
        [Point(2600, 1.0), Point(2700, 2.0)],
        np.array([2600.0]),
        (2600,),
    ],
)
def test_values_come_in_many_shapes(value: Any) -> None:
    """One number, lists, statistics, objects and arrays are all understood."""
    analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": {"api_response_time_ms": value}})
    assert [one["resource"] for one in analysis["bottlenecks"]] == ["api"]


def test_units_in_names_are_heeded() -> None:
    """Milliseconds, seconds, percent, ratio and megabytes mean the same thing when they do."""
    analyzer = OptimizationAnalyzer()
    for name, value in (
        ("database_query_time_ms", 150.0),
        ("database_query_time_seconds", 0.15),
        ("cache_hit_rate", 0.7),
        ("cache_hit_rate_percent", 70),
        ("disk_io_mb_per_second", 80),
        ("memory_usage_percent", 85),
    ):
        assert len(analyzer.analyze_performance_data({"metrics": {name: value}})["findings"]) == 1, name


def test_what_is_not_understood_is_named() -> None:
    """Unknown names, words, None, NaN and empty lists are left out with their reason."""
    data = {
        "mood": 3,
        "error_rate": None,
        "cpu_percent": "busy",
        "memory_percent": float("nan"),
        "timeout_rate": [],
        "disk_io": True,
    }
    analysis = OptimizationAnalyzer().analyze_performance_data({"metrics": data})
    assert set(data) == set(analysis["ignored"])
    assert analysis["system_health_score"] is None


@pytest.mark.parametrize("nonsense", [None, [], "metrics", 7])
def test_no_dictionary_is_one_sentence(nonsense: Any) -> None:
    """The type is named."""
    with pytest.raises(AnalyzerError, match="it must be a dictionary"):
        OptimizationAnalyzer().analyze_performance_data(nonsense)


def test_one_priority_can_be_asked_for(metrics_data: dict[str, Any]) -> None:
    """A helper filters by priority."""
    found = OptimizationAnalyzer().get_recommendations(metrics_data, "critical")
    assert {"critical"} == {one["priority"] for one in found}
