"""The rules and the recommendations that they give for findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.errors import ConfigError
from perfloop_analyzer.findings import Severity
from perfloop_analyzer.incidents import Topology, group_incidents
from perfloop_analyzer.recommend import Context, Usage, load_rules, recommend
from perfloop_analyzer.recommend.improvement import relief
from perfloop_analyzer.recommend.recommendation import from_dict
from perfloop_analyzer.recommend.rules import Category

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend import Course

WITHOUT_SELECTION = """
rules:
- {rule: a, category: api, title: t, action: a, effort: low, cost: none, affects: [], improvement: {method: replicas}}
"""


class Numbers:
    """Measurements by hand."""

    def __init__(self, **values: float) -> None:
        self._values = values

    def now(self, signal: str, service: str) -> float | None:
        """The number given for a signal."""
        return self._values.get(signal)

    def peak(self, signal: str, service: str) -> float | None:
        """The same."""
        return self._values.get(signal)

    def course(self, signal: str, finding: Finding) -> Course | None:
        """No course: the finding's own numbers count."""

    def series(self, signal: str, service: str) -> int:
        """One, where there is a number."""
        return int(signal in self._values)

    def past(self, signal: str, finding: Finding) -> Usage | None:
        """A week of the same value, where one is given."""
        past = self._values.get(f"{signal}_past")
        return None if past is None else Usage(past, past, (past, past, past), 7.0, 1008)

    def window(self, signal: str, finding: Finding) -> np.ndarray | None:
        """Nothing but numbers of the moment."""


def _run(findings: list, **numbers: float) -> tuple:
    incidents = group_incidents(findings, Topology(), lambda _finding: 2.0)
    return recommend(incidents, load_rules(), Context(Numbers(**numbers), 5000.0))


def test_every_signal_with_a_limit_has_a_rule_and_every_category_is_used() -> None:
    """There is an answer to every finding."""
    rules = load_rules()
    named = {signal for rule in rules for signal in rule.signals}
    limited = {signal.name for signal in load_catalog() if signal.limit.warning is not None}
    assert limited <= named
    known = {signal.name for signal in load_catalog()}
    assert named <= known, "a rule names an unknown signal"
    assert {rule.category for rule in rules} == set(get_args(Category))


def test_slow_queries_name_the_database_and_the_share_of_the_latency(build: Any) -> None:
    """The gain is the database's share of the response time times what its time falls by."""
    finding = build.finding(value=0.5, expected=0.05, labels={"service": "shop", "db_system_name": "postgresql"})
    (recommendation,) = _run([finding], db_time_per_second=2.0, request_rate=10.0, api_latency_mean=0.4)
    assert "Database" in recommendation.title
    assert "postgresql" in recommendation.title
    assert recommendation.improvement.ratio == pytest.approx(0.5 * 0.9)
    assert recommendation.improvement.low == pytest.approx(0.5 * 0.8)
    assert recommendation.priority == "high"
    assert recommendation.evidence[0]["before"] == 0.05


def test_without_inputs_only_what_is_known_is_said(build: Any) -> None:
    """No share of the latency: the gain is about the signal itself."""
    (recommendation,) = _run([build.finding(value=0.5, expected=0.05)])
    assert recommendation.improvement.metric == "db_query_time_p95"
    assert recommendation.improvement.ratio == pytest.approx(0.9)


def test_connections_that_are_held_without_work_are_to_be_released(build: Any) -> None:
    """Between what was held before and what the queries need."""
    finding = build.finding(
        signal="db_pool_used_ratio", kind="use", value=1.0, expected=0.1, severity=Severity.CRITICAL
    )
    (recommendation,) = _run([finding], db_pool_connections=10.0, db_time_per_second=0.5)
    assert recommendation.improvement.ratio == pytest.approx(0.9)
    assert recommendation.improvement.high == pytest.approx(0.95)
    assert recommendation.improvement.metric == "db_pool_used_ratio"
    assert recommendation.priority == "critical"


def test_cpu_is_shared_not_queued_for(build: Any) -> None:
    """1.5 of two cores: work takes 2.3 times as long as alone (M/M/2), and three cores bring use to half."""
    finding = build.finding(signal="cpu_used_ratio", component="cpu", kind="use", value=0.75, expected=0.3)
    (recommendation,) = _run([finding], cpu_cores=2.0)
    assert "2.3 times as long as alone; 3 cores bring use to 50%" in recommendation.improvement.explanation
    assert "no day of history" in recommendation.improvement.explanation
    assert recommendation.improvement.ratio == pytest.approx(1 / 3)


def test_cpu_is_sized_by_days_of_use_too(build: Any) -> None:
    """Where the past asks for more than the moment, the past counts: both sizes are named."""
    finding = build.finding(signal="cpu_used_ratio", component="cpu", kind="use", value=0.75, expected=0.3)
    (recommendation,) = _run([finding], cpu_cores=16.0, cpu_used_ratio_past=0.99)
    assert "use of 7 days: 15.84 cores at the 95th percentile" in recommendation.improvement.explanation
    assert "19 cores bring use" in recommendation.improvement.explanation


def test_memory_is_sized_by_days_of_use(build: Any) -> None:
    """The peak of the days counts, and without days nothing is sized."""
    finding = build.finding(signal="memory_used_ratio", component="memory", kind="use", value=0.9, expected=0.5)
    (sized,) = _run([finding], memory_total_bytes=2**33, memory_used_ratio=0.9, memory_used_ratio_past=0.94)
    assert sized.improvement.method == "right_size"
    assert sized.improvement.ratio == pytest.approx(1 - 1 / (0.94 * 1.15))
    (unsized,) = _run([finding], memory_total_bytes=2**33, memory_used_ratio=0.9)
    assert unsized.improvement.method == "return_to_expected"
    assert "no day of history" in unsized.improvement.explanation


def test_fewer_misses_save_their_part_of_the_work(build: Any) -> None:
    """All of the queries at best, and at least one for each miss."""
    finding = build.finding(
        signal="cache_hit_ratio", component="cache", value=0.4, expected=0.9, limit=0.8, direction="below"
    )
    numbers = {"cache_request_rate": 100.0, "db_query_rate": 120.0, "db_time_per_second": 2.0}
    (recommendation,) = _run([finding], **numbers)
    assert recommendation.improvement.high == pytest.approx(1 - 0.1 / 0.6)
    assert recommendation.improvement.low == pytest.approx((1 - 0.2 / 0.6) * 60 / 120)
    assert recommendation.improvement.metric == "db_time_per_second"


def test_ids_are_stable_and_victims_come_later(build: Any) -> None:
    """The same finding has the same id tomorrow; the cause is more urgent than its consequence."""
    findings = [
        build.finding(signal="api_response_time_p95", component="api", limit=1.0, value=1.5),
        build.finding(),
    ]
    first, second = _run(findings), _run(findings)
    assert [recommendation.id for recommendation in first] == [recommendation.id for recommendation in second]
    assert [recommendation.rule for recommendation in first] == ["slow_queries", "slow_api"]
    assert "rivals" in first[0].as_dict()
    assert from_dict(first[0].as_dict()) == first[0]


def test_a_rule_of_the_user_is_added_or_replaces_its_namesake(tmp_path: Path) -> None:
    """The last word on a rule's name is the user's."""
    path = tmp_path / "rules.yml"
    path.write_text(
        "rules:\n- {rule: slow_queries, category: database, signals: [db_query_time_p95], title: Ours, action: Call, "
        "effort: low, cost: none, affects: [x], improvement: {method: return_to_expected}}\n"
    )
    rules = {rule.rule: rule for rule in load_rules([path])}
    assert rules["slow_queries"].title == "Ours"
    assert len(rules) == len(load_rules())


def test_relief_has_bounds() -> None:
    """The cautious bound is the way to the limit, the full one the way back; nothing is gained from nothing."""
    from dataclasses import replace

    from perfloop_analyzer.findings import Finding

    plain = Finding("threshold", "s", "S", "shop", "c", "red", Severity.WARNING, 2.0, 0.5, 0.0, limit=1.0)
    assert relief(plain) == (0.5, 0.75)
    assert relief(replace(plain, limit=None)) == (0.375, 0.75)
    assert relief(replace(plain, value=0.0)) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rules:\n- {rule: a, category: magic}\n", "field 'rules.0.category' has value 'magic'"),
        (
            WITHOUT_SELECTION,
            "rule 'a' selects nothing",
        ),
    ],
)
def test_a_bad_rule_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    """The sentence says which rule and why."""
    path = tmp_path / "rules.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_rules([path])
    assert sentence in str(caught.value)
