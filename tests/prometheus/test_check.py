"""A rule file that somebody puts beside the generated ones: each problem is a sentence with file and line."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop_rules.check import check_rule_files

if TYPE_CHECKING:
    from pathlib import Path

RULES = """groups:
  - name: mine
    interval: 30s
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: MyServiceDown
        expr: up{job="mine"} == 0
        for: 1m
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.instance }} does not answer"}
"""
FILE = "prometheus/alerts/mine.yml"
MISTAKES = {
    "broken YAML": (RULES + " x: [", f"{FILE}:12: not valid YAML: "),
    "not a mapping": ("[]\n", f"{FILE}:1: the file must be a mapping of names to values."),
    "an unknown section": ("group: []\n", f"{FILE}:1: the file: unknown field 'group'; did you mean 'groups'?"),
    "groups that are a mapping": ("groups: {a: 1}\n", f"{FILE}:1: groups must be a list."),
    "a group without a name": (RULES.replace("name: mine", "limit: 5"), f"{FILE}:2: a group has no name."),
    "two groups of one name": (
        RULES + RULES.removeprefix("groups:\n"),
        f"{FILE}:12: group mine: another group of this file has the same name.",
    ),
    "an interval that is none": (
        RULES.replace("interval: 30s", "interval: half a minute"),
        f"{FILE}:3: group mine: interval has the value 'half a minute'; it must be a duration such as 30s, 5m or 1h.",
    ),
    "a misspelt field": (
        RULES.replace("        for: 1m", "        fro: 1m"),
        f"{FILE}:9: alert MyServiceDown: unknown field 'fro'; did you mean 'for'?",
    ),
    "a hold of a recording": (
        RULES.replace("expr: sum by (job) (up)\n", "expr: sum by (job) (up)\n        for: 1m\n"),
        f"{FILE}:7: record job:up:sum: unknown field 'for'; known are expr, labels, record.",
    ),
    "neither alert nor record": (
        RULES.replace("- record: job:up:sum", "- labels: {}"),
        f"{FILE}:5: a rule must have either alert or record.",
    ),
    "a series that cannot be": (
        RULES.replace("job:up:sum", "job-up-sum"),
        f"{FILE}:5: record has the value 'job-up-sum'; it must be the name of a series.",
    ),
    "no expression": (
        RULES.replace("        expr: sum by (job) (up)\n", ""),
        f"{FILE}:5: record job:up:sum has no expr.",
    ),
    "not PromQL": (
        RULES.replace("sum by (job) (up)", "sum by (job) (up"),
        f"{FILE}:6: record job:up:sum: expr is not PromQL: unclosed left parenthesis.",
    ),
    "an unknown function": (
        RULES.replace("sum by (job) (up)", "rat(up[1m])"),
        f"{FILE}:6: record job:up:sum: expr is not PromQL: unknown function with name 'rat'.",
    ),
    "labels that are a list": (
        RULES.replace("{severity: critical}", "[critical]"),
        f"{FILE}:10: alert MyServiceDown: labels must be a mapping of names to texts.",
    ),
    "a label that cannot be": (
        RULES.replace("{severity: critical}", "{my-team: a}"),
        f"{FILE}:10: alert MyServiceDown: 'my-team' cannot be the name of a label or annotation.",
    ),
    "a label that is a list": (
        RULES.replace("{severity: critical}", "{severity: [a]}"),
        f"{FILE}:10: alert MyServiceDown: severity has the value ['a']; it must be a text.",
    ),
    "an alert of another file": (
        RULES.replace("MyServiceDown", "TargetDown"),
        f"{FILE}:7: alert TargetDown: prometheus/alerts/generated.yml defines an alert of the same name.",
    ),
    "an alert that is defined again": (
        RULES + "      - {alert: MyServiceDown, expr: up, labels: {severity: critical}}\n",
        f"{FILE}:12: alert MyServiceDown: this file defines another one with the same labels.",
    ),
}


def check(tmp_path: Path, text: str) -> list[str]:
    """Return the problems of a configuration with a generated file and one of the user's."""
    alerts = tmp_path / "prometheus" / "alerts"
    alerts.mkdir(parents=True)
    (alerts / "generated.yml").write_text("groups: [{name: g, rules: [{alert: TargetDown, expr: up == 0}]}]\n")
    (alerts / "mine.yml").write_text(text)
    return check_rule_files(tmp_path)


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str):
    """The sentence has file, line, value and rule."""
    text, sentence = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    assert [problem for problem in check(tmp_path, text) if problem.startswith(sentence)]


@pytest.mark.parametrize(
    "text",
    [
        RULES,
        RULES.replace("for: 1m", "for: 0"),
        RULES + "      - {alert: MyServiceDown, expr: up, labels: {severity: warning}}\n",
        RULES.replace("limit", "limit") + "    labels: {team: a}\n    query_offset: 1m\n    limit: 10\n",
        "groups:\n",
    ],
)
def test_what_prometheus_takes_has_no_problem(tmp_path: Path, text: str):
    """Another severity of the same alert is no duplicate, and newer fields of groups are known."""
    assert check(tmp_path, text) == []


def test_all_mistakes_of_all_files_are_reported_together(tmp_path: Path):
    """Two in one file and one in another are three sentences."""
    (tmp_path / "prometheus" / "rules").mkdir(parents=True)
    (tmp_path / "prometheus" / "rules" / "other.yaml").write_text(
        "groups: [{name: g, rules: [{record: a, expr: '('}]}]"
    )
    text = RULES.replace("for: 1m", "for: soon").replace("sum by (job) (up)", "sum(")
    assert len(check(tmp_path, text)) == 3


def test_the_committed_rules_have_no_problem(checkout: Path):
    """What ships is clean."""
    assert check_rule_files(checkout) == []


# What Prometheus 2.42 and later accept, in the spellings that people use.
VALID = """
a / b < .1 and ON (instance, device, mountpoint) c == 0
a AND ON(x) b
a OR b
a UNLESS IGNORING (x) b
SUM BY (x) (a)
sum(a) WITHOUT (x)
sum(a) by (x) / ON(x) GROUP_LEFT sum(b) by (x)
a * on (x) GROUP_RIGHT (y) b
a > BOOL 1
a ATAN2 b
COUNT_VALUES("x", a)
Quantile(0.9, a)
bottomk by (x) (3, a)
rate(a[5m] OFFSET -5m)
a @ START()
max_over_time(a[1h:5m] @ end() offset 1m)
avg_over_time((a > 0)[5m:])
0x1F + 1e-3 + .5 + 5. + +Inf
- - a ^ b ^ c
{__name__=~"a.+"}
a{on="x", by="y",}
sum by (on, by, offset,) (a)
a and ignoring() b
job:request:rate5m offset 1h30m
a{x=`y`} or a{x='y'} or a{x="\\u00e9"} # comment
holt_winters(a[5m], 0.5, 0.5)
absent_over_time(a{x=~"foo|bar",y!~".*z"}[1d])
label_replace(a, "b", "$1", "c", "(.*)")
predict_linear(a[1h], 4 * 3600)
histogram_quantile(0.9, SUM(rate(a_bucket[5m])) BY (le))
year(vector(0)) == bool scalar(a)
"""


def test_whatever_prometheus_accepts_is_accepted(tmp_path: Path, promtool: str):
    """One rule for each spelling: promtool has no objection, and neither have we."""
    expressions = [line for line in VALID.splitlines() if line]
    rules = [{"record": f"r{number}", "expr": expr} for number, expr in enumerate(expressions)]
    text = json.dumps({"groups": [{"name": "g", "rules": rules}]})
    assert check(tmp_path, text) == []
    subprocess.run([promtool, "check", "rules", str(tmp_path / FILE)], check=True, capture_output=True)
