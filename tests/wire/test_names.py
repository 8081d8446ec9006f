"""Rules, alerts, dashboards and the catalogue name only what exists: in the contract, in the rules, or abroad."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from perfloop_base.promql import find_problem
from perfloop_loadgen.server_series import DEFINITIONS, fill, matcher_of
from tests.wire.contract import read_contract, read_designed, read_foreign
from tests.wire.promql import metric_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What Prometheus makes itself.
SYNTHETIC = r"up|ALERTS|ALERTS_FOR_STATE|scrape_(duration_seconds|samples_scraped|samples_post_metric_relabeling)"


def read_rules(checkout: Path) -> list[dict[str, Any]]:
    """Every recording and alerting rule."""
    files = [*(checkout / "prometheus" / "rules").glob("*.yml"), *(checkout / "prometheus" / "alerts").glob("*.yml")]
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(files)]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def read_catalogue(checkout: Path) -> Iterator[tuple[str, str]]:
    """The analyzer's signals and their expressions."""
    for file in sorted((checkout / "analyzer" / "perfloop_analyzer" / "catalog").glob("*.yml")):
        for signal in yaml.safe_load(file.read_text(encoding="utf-8"))["signals"]:
            yield f"{file.name}: {signal['name']}", signal["expr"]


def read_dashboards(checkout: Path) -> Iterator[tuple[str, str]]:
    """Every query of every panel, variable and annotation."""
    for file in sorted((checkout / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(file.read_text(encoding="utf-8"))
        for panel in (one for row in board["panels"] for one in (row, *row.get("panels", ()))):
            for target in panel.get("targets", ()):
                yield f"{board['uid']}: {panel['title']}", target["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{board['uid']}: ${variable['name']}", _labelled(variable["query"])
        for mark in board.get("annotations", {}).get("list", ()):
            yield f"{board['uid']}: {mark['name']}", mark["expr"]


def _labelled(query: str) -> str:
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert match, query
    return match.group(1)


@pytest.fixture(scope="session")
def known(checkout: Path) -> re.Pattern[str]:
    """One pattern of every series that may be named."""
    suffixes = {"histogram": "(_bucket|_sum|_count)", "summary": "(_sum|_count)?"}
    ours = [m.name + suffixes.get(m.type, "") for metrics in read_contract().values() for m in metrics]
    recorded = [rule["record"] for rule in read_rules(checkout) if "record" in rule]
    foreign = [pattern for patterns in read_foreign().values() for pattern in patterns]
    return re.compile(
        "|".join(f"(?:{pattern})" for pattern in [SYNTHETIC, *ours, *recorded, *foreign, *read_designed()])
    )


def find_unknown(known: re.Pattern[str], expressions: Iterator[tuple[str, str]]) -> list[str]:
    """One sentence for each metric that nobody exports."""
    return sorted(
        f"{place} names {name}, which nothing exports"
        for place, expression in expressions
        for name in metric_names(expression)
        if not known.fullmatch(name)
    )


def test_rules_and_alerts_name_only_what_exists(checkout: Path, known: re.Pattern[str]):
    """A rule over a metric that nothing exports is silent for ever."""
    rules = ((str(rule.get("record") or rule["alert"]), rule["expr"]) for rule in read_rules(checkout))
    assert find_unknown(known, rules) == []


def test_the_catalogue_names_only_what_exists(checkout: Path, known: re.Pattern[str]):
    """A signal over a metric that nothing exports is never found."""
    assert find_unknown(known, read_catalogue(checkout)) == []


def test_dashboards_name_only_what_exists(checkout: Path, known: re.Pattern[str]):
    """A panel over a metric that nothing exports is empty for ever."""
    assert find_unknown(known, read_dashboards(checkout)) == []


def test_reports_of_load_tests_name_only_what_exists(known: re.Pattern[str]):
    """A series over a metric that nothing exports is missing in every report; each expression is PromQL."""
    filled = [(one.name, fill(one.expr, matcher_of("service", "shop"), 30)) for one in DEFINITIONS]
    assert find_unknown(known, iter(filled)) == []
    assert [find_problem(expression) for _, expression in filled] == ["" for _ in filled]


def test_an_unknown_name_is_found(known: re.Pattern[str]):
    """The check itself: a misspelt metric is reported with its place."""
    assert find_unknown(known, iter([("a panel", "rate(node_cpu_second_total[5m])")])) == [
        "a panel names node_cpu_second_total, which nothing exports"
    ]
