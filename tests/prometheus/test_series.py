"""Rules that parse and select nothing: found by the names and labels they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_rules.errors import UnreachableError
from perfloop_rules.live import read_live
from perfloop_rules.series import Rule, check_live, check_recorded, find_strays, read_known, read_rules, render_series

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = {"http_requests_total": frozenset({"code", "service"}), "vllm:waiting": frozenset({"model_name"})}


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("rate(http_request_total[1m])", "no series is named http_request_total"),
        ('rate(http_requests_total{status="500"}[1m])', "http_requests_total has no label 'status'"),
        ('rate(http_requests_total{code="500",job="x"}[1m])', ""),
        ("vllm:waiting > 2", ""),
        ('count({job="x"})', ""),
    ],
)
def test_a_rule_that_selects_nothing_is_named_with_file_and_line(expr: str, problem: str):
    """A misspelt name or label parses, and would never fire."""
    strays = find_strays([Rule("Alert", expr, "prometheus/alerts/x.yml", 7)], KNOWN)
    expected = [f"prometheus/alerts/x.yml:7: Alert: {problem}; the rule would select nothing."] if problem else []
    assert strays == expected


def test_a_rule_that_is_not_promql_is_named_with_file_and_line():
    """One broken rule does not hide what is wrong with the others."""
    rules = [Rule("A", "sum(", "f.yml", 1), Rule("B", "absent_total", "f.yml", 2)]
    assert find_strays(rules, KNOWN) == [
        "f.yml:1: A: expr is not PromQL: unclosed left parenthesis.",
        "f.yml:2: B: no series is named absent_total; the rule would select nothing.",
    ]


def test_every_committed_rule_selects_something(directory: Path):
    """The recorded series of the stack and of the exporters that packs are for carry every rule."""
    assert check_recorded(directory) == []


def test_packs_of_exporters_that_are_not_scraped_are_no_problem(directory: Path):
    """A live stack without vLLM, Redis, PostgreSQL or Qdrant has nothing wrong with it."""
    own, _ = read_known(directory)
    assert check_live(directory, own) == []


def test_a_series_that_a_live_stack_lacks_is_reported(directory: Path):
    """Without the exporter's processor series the rules about processors are named."""
    own, _ = read_known(directory)
    strays = check_live(directory, {name: labels for name, labels in own.items() if name != "node_cpu_seconds_total"})
    assert strays
    assert all("no series is named node_cpu_seconds_total" in stray for stray in strays)


def test_rules_are_read_with_their_lines(directory: Path):
    """The line is where the rule begins."""
    rule = next(rule for rule in read_rules(directory) if rule.name == "TargetDown")
    assert "TargetDown" in (directory.parent / rule.file).read_text().splitlines()[rule.line - 1]


def test_recorded_series_read_back_as_written(tmp_path: Path):
    """Writing and reading are each other's reverse."""
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "stack.txt").write_text(render_series(KNOWN))
    assert read_known(tmp_path)[0] == KNOWN


@pytest.mark.parametrize("url", ["ftp://x", "file:///etc/passwd"])
def test_only_http_is_asked(url: str):
    """An address that is none is refused before anything is opened."""
    with pytest.raises(ConfigError, match="must begin with http"):
        read_live(url, 0.0)


def test_nobody_there_is_one_sentence(free_port: int):
    """The address stands in it."""
    with pytest.raises(UnreachableError, match=f"Prometheus at http://127.0.0.1:{free_port} does not answer"):
        read_live(f"http://127.0.0.1:{free_port}", 0.0)
