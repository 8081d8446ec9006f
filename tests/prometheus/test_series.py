"""Rules that parse and select nothing: found by the names and labels they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfloop_rules.errors import RulebookError
from perfloop_rules.live import read_live
from perfloop_rules.selectors import Selector, find_selectors
from perfloop_rules.series import Rule, check_live, check_recorded, find_strays, read_known, read_rules, render_series

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = {"http_requests_total": frozenset({"code", "service"}), "vllm:waiting": frozenset({"model_name"})}


@pytest.mark.parametrize(
    ("expr", "selectors"),
    [
        ("up == 0", [Selector("up", ())]),
        ('sum by (a, b) (rate(x_total{c=~"d|e",f!="g"}[5m]))', [Selector("x_total", ("c", "f"))]),
        ("histogram_quantile(0.95, sum by (le) (rate(y_bucket[1m])))", [Selector("y_bucket", ())]),
        ("a:b:c > 2 and on (service) d * 60 >= 10 unless e offset 5m", [Selector(n, ()) for n in ("a:b:c", "d", "e")]),
        ('label_replace(vllm:x, "to", "$1", "from", "(.*)")', [Selector("vllm:x", ())]),
        ('f{g="h{i}(j) and k"} or vector(1)', [Selector("f", ("g",))]),
        ("1e6 + 0.5 * inf", []),
    ],
)
def test_selectors_of_an_expression(expr: str, selectors: list[Selector]):
    """Names of functions, labels and words of the language are no series."""
    assert find_selectors(expr) == selectors


@pytest.mark.parametrize(
    ("expr", "problem"),
    [
        ("rate(http_request_total[1m])", "no series is named http_request_total"),
        ('rate(http_requests_total{status="500"}[1m])', "http_requests_total has no label 'status'"),
        ('rate(http_requests_total{code="500",job="x"}[1m])', ""),
        ("vllm:waiting > 2", ""),
    ],
)
def test_a_rule_that_selects_nothing_is_named_with_file_and_line(expr: str, problem: str):
    """A misspelt name or label parses, and would never fire."""
    strays = find_strays([Rule("Alert", expr, "prometheus/alerts/x.yml", 7)], KNOWN)
    expected = [f"prometheus/alerts/x.yml:7: Alert: {problem}; the rule would select nothing."] if problem else []
    assert strays == expected


def test_every_committed_rule_selects_something(room: Path):
    """The recorded series of the stack and of the exporters that packs are for carry every rule."""
    assert check_recorded(room) == []


def test_packs_of_exporters_that_are_not_there_sleep(room: Path):
    """A live stack without vLLM, Redis, PostgreSQL or Qdrant has nothing wrong with it."""
    own, _ = read_known(room)
    assert check_live(room, own) == []


def test_a_live_stack_that_lacks_what_it_should_have_is_told(room: Path):
    """Without the exporter's processor series the rules about processors are named."""
    own, _ = read_known(room)
    strays = check_live(room, {name: labels for name, labels in own.items() if name != "node_cpu_seconds_total"})
    assert strays
    assert all("no series is named node_cpu_seconds_total" in stray for stray in strays)


def test_rules_are_read_with_their_lines(room: Path):
    """The line is where the rule begins."""
    rule = next(rule for rule in read_rules(room) if rule.name == "TargetDown")
    assert "TargetDown" in (room.parent / rule.file).read_text().splitlines()[rule.line - 1]


def test_recorded_series_read_back_as_written(tmp_path: Path):
    """Writing and reading are each other's reverse."""
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "stack.txt").write_text(render_series(KNOWN))
    assert read_known(tmp_path)[0] == KNOWN


@pytest.mark.parametrize("url", ["ftp://x", "file:///etc/passwd"])
def test_only_http_is_asked(url: str):
    """An address that is none is refused before anything is opened."""
    with pytest.raises(RulebookError, match="must begin with http"):
        read_live(url, 0.0)


def test_nobody_there_is_one_sentence(free_port: int):
    """The address stands in it."""
    with pytest.raises(RulebookError, match=f"Prometheus at http://127.0.0.1:{free_port} does not answer"):
        read_live(f"http://127.0.0.1:{free_port}", 0.0)
