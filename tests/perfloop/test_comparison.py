from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from perfloop.stack.comparison import (
    compare_analyzer,
    compare_dashboard,
    compare_exporter,
    compare_rules,
    hash_alertmanager_config,
)
from perfloop_base.thresholds import read_thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_base.thresholds import Thresholds


@pytest.fixture(scope="module")
def thresholds(checkout: Path) -> Thresholds:
    """The committed thresholds."""
    return read_thresholds(checkout / "prometheus" / "thresholds.yml", "prometheus/thresholds.yml")


def _exported(thresholds: Thresholds, **changed: float) -> str:
    rows = [
        f'perfloop_threshold{{signal="{signal.name}",severity="{severity}"}} {changed.get(signal.name, limit)}'
        for signal in thresholds.signals
        for severity, limit in signal.limits.items()
    ]
    return "# TYPE perfloop_threshold gauge\n" + "\n".join(rows) + "\n"


def test_an_exporter_with_the_file_is_no_difference(thresholds: Thresholds) -> None:
    """What the file says is what is exported."""
    assert compare_exporter(_exported(thresholds), thresholds) == []


def test_an_exporter_that_is_behind_is_named_with_both_values(thresholds: Thresholds) -> None:
    """The sentence has the signal, what is used and what the file says."""
    problems = compare_exporter(_exported(thresholds, api_response_time_p95=7), thresholds)
    assert problems == [
        "api_response_time_p95 (warning): the exporter uses 7, prometheus/thresholds.yml says 1",
        "api_response_time_p95 (critical): the exporter uses 7, prometheus/thresholds.yml says 2",
    ]


def test_an_analyzer_without_a_limit_is_named(thresholds: Thresholds) -> None:
    """A limit that the analyzer lacks is a difference."""
    signals = {signal.name: dict(signal.limits) for signal in thresholds.signals}
    assert compare_analyzer({"signals": signals}, thresholds) == []
    del signals["error_ratio"]["warning"]
    (problem,) = compare_analyzer({"signals": signals}, thresholds)
    assert problem.startswith("error_ratio (warning): the analyzer has no such limit, prometheus/thresholds.yml says ")


_FILE = """
groups:
  - name: a
    rules:
      - alert: Slow
        expr: sum by (job) (rate(x[5m])) > 0.8
        for: 1m
        labels: {severity: warning}
        annotations: {summary: the limit is 0.8 s}
      - record: job:x
        expr: |
          sum by (job) (x)
"""


def _loaded(**changes: Any) -> list[dict[str, Any]]:
    alert = {
        "name": "Slow",
        "type": "alerting",
        "query": "sum by (job) (rate(x[5m])) > 0.8",
        "duration": 60,
        "labels": {"severity": "warning"},
        "annotations": {"summary": "the limit is 0.8 s"},
    }
    recording = {"name": "job:x", "type": "recording", "query": "sum by (job) (x)"}
    return [{"name": "a", "file": "/etc/prometheus/alerts/mine.yml", "rules": [{**alert, **changes}, recording]}]


def test_rules_that_are_loaded_as_their_file_says() -> None:
    """White space and the order of groups make no difference."""
    assert compare_rules(_loaded(), {"alerts/mine.yml": _FILE}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"query": "sum by (job) (rate(x[5m])) > 1"}, "Slow: Prometheus uses 1, the file says 0.8"),
        ({"duration": 30}, "Slow: Prometheus uses for 30 s, the file says for 60 s"),
        ({"labels": {"severity": "critical"}}, "Slow: Prometheus uses 'critical', the file says 'warning'"),
        ({"annotations": {"summary": "the limit is 1 s"}}, "Slow: Prometheus uses 1, the file says 0.8"),
        ({"name": "Fast"}, "group a: Prometheus has Fast where the file has Slow"),
    ],
)
def test_a_rule_that_is_behind_is_named_with_both_values(changes: dict[str, Any], expected: str) -> None:
    """Expression, duration, labels and texts are all compared."""
    assert compare_rules(_loaded(**changes), {"alerts/mine.yml": _FILE}) == [f"prometheus/alerts/mine.yml: {expected}"]


def test_files_that_are_not_loaded_and_rules_without_a_file() -> None:
    """A file that Prometheus has no rule of, and rules whose file is gone, are both named; an empty file is neither."""
    problems = compare_rules(_loaded(), {"alerts/new.yml": _FILE, "rules/empty.yml": "groups: []"})
    assert problems == [
        "prometheus/alerts/new.yml is not loaded: Prometheus has none of its rules",
        "prometheus/alerts/mine.yml is gone, but Prometheus still has its rules",
    ]


def _board(warning: float) -> dict[str, Any]:
    steps = [{"color": "green", "value": None}, {"color": "orange", "value": warning}]
    panel = {"title": "Response time", "fieldConfig": {"defaults": {"thresholds": {"steps": steps}}}}
    return {"title": "Service", "panels": [{"title": "Row", "panels": [panel]}]}


def test_a_dashboard_that_is_behind_is_named_with_both_values() -> None:
    """The limits of panels are compared, those in a folded row too."""
    assert compare_dashboard(_board(1), _board(1), "Grafana") == []
    expected = ["Service / Response time: Grafana uses 1, the thresholds give 0.8"]
    assert compare_dashboard(_board(1), _board(0.8), "Grafana") == expected
    assert compare_dashboard({}, _board(0.8), "Grafana")[-1].endswith("Grafana uses no limit, the thresholds give 0.8")


def test_the_hash_of_an_alertmanager_configuration() -> None:
    """The first six bytes of the MD5, as a little-endian number."""
    digest = hashlib.md5(b"route: {}\n").digest()
    assert hash_alertmanager_config("route: {}\n") == sum(byte << (8 * place) for place, byte in enumerate(digest[:6]))
