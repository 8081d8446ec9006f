"""A pack and its numbers must fit each other; each mistake is a sentence with file and line."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import ConfigError
from perfloop_base.thresholds import parse_thresholds
from perfloop_rules.packs import read_packs

if TYPE_CHECKING:
    from pathlib import Path

PACK = """pack: stack
alerts:
  - alert: A
    summary: S
    description: D.
    category: stack
    component: stack
    unit: number
    expr: up < $limit
    test: {series: {up: x}}
"""
SIGNALS = "signals: []\n"
LIMITS = SIGNALS + "limits:\n  A: {warning: 1, for: 15s, owner: o}\n"
MISTAKES = {
    "an alert without numbers": (PACK, SIGNALS, "stack.yml:3: alert A has no entry under `limits` of t.yml."),
    "numbers without an alert": (
        PACK,
        LIMITS + "  B: {warning: 1, owner: o}\n",
        "t.yml:4: limit B: no pack has an alert of this name; known are A.",
    ),
    "a number in the expression": (
        PACK.replace("$limit", "1"),
        LIMITS,
        "stack.yml:9: alert A: expr does not compare with $limit; the number belongs into thresholds.yml.",
    ),
    "an alert without a test": (
        PACK.replace("    test: {series: {up: x}}\n", ""),
        LIMITS,
        "stack.yml:3: alert A: test.series is missing; every alert is shown to fire, to be quiet and to resolve.",
    ),
    "an unknown unit": (
        PACK.replace("unit: number", "unit: percent"),
        LIMITS,
        "stack.yml:8: alert A: unit has the value 'percent'; it must be one of seconds, ratio,",
    ),
    "another name than the file's": (
        PACK.replace("pack: stack", "pack: other"),
        LIMITS,
        "stack.yml:1: pack has the value 'other'; it must be the file's own name, stack.",
    ),
    "broken YAML": (PACK + " x: [", LIMITS, "stack.yml:11: not valid YAML: "),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_has_its_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str):
    """The sentence has file, line, value and rule."""
    pack, thresholds, sentence = MISTAKES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stack.yml").write_text(pack)
    with pytest.raises(ConfigError) as caught:
        read_packs(tmp_path, parse_thresholds(thresholds, "t.yml"))
    assert [problem for problem in caught.value.problems if problem.startswith(sentence)]


def test_a_pack_without_a_mistake_is_read(tmp_path: Path):
    """The sentences above are about what each case changed."""
    (tmp_path / "stack.yml").write_text(PACK)
    (pack,) = read_packs(tmp_path, parse_thresholds(LIMITS, "t.yml"))
    assert [(alert.name, alert.direction, alert.with_limit(1)) for alert in pack.alerts] == [("A", "below", "up < 1")]


@pytest.mark.parametrize(("drops", "alerts"), [("0 0 4 8 8+0x30", 0), ("0 0 4+4x30", 1)], ids=["restart", "lasting"])
def test_a_restart_drops_notifications_without_an_alert(
    tmp_path: Path, checkout: Path, promtool: str, drops: str, alerts: int
):
    """Prometheus starts before Alertmanager with something firing, and drops what it sends again; or it goes on."""
    fired = "count(count_over_time(ALERTS{alertname='NotificationsDropped',alertstate='firing'}[8m])) or vector(0)"
    test = {
        "interval": "15s",
        "input_series": [
            {"series": 'prometheus_notifications_dropped_total{service="prometheus",instance="p:1"}', "values": drops}
        ],
        "promql_expr_test": [{"expr": fired, "eval_time": "7m", "exp_samples": [{"labels": "{}", "value": alerts}]}],
    }
    file = tmp_path / "test.yml"
    rules = str(checkout / "prometheus" / "alerts" / "stack.yml")
    file.write_text(json.dumps({"rule_files": [rules], "evaluation_interval": "15s", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
