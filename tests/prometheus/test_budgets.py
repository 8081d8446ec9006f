"""Error budgets of a service that is younger than their period, by Prometheus's own engine."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from pathlib import Path

SLO = 'service="shop",slo="availability"'


def _expect(expr: str, when: str, labels: str, value: float) -> dict[str, Any]:
    return {"expr": expr, "eval_time": when, "exp_samples": [{"labels": f"{{{labels}}}", "value": value}]}


@pytest.mark.parametrize("case", [("30m", 1800, "30 min"), ("5h", 18_000, "5 h")], ids=lambda case: str(case[2]))
def test_what_is_spent_is_of_the_time_since_data_began(
    tmp_path: Path, checkout: Path, promtool: str, case: tuple[str, int, str]
):
    """One request in two thousand fails, of one in a thousand allowed: half is spent, whatever is left of the month."""
    when, seconds, window = case
    made = {f"service_slo:slo_{name}:rate5m{{{SLO}}}": value for name, value in (("events", "20"), ("errors", "0.01"))}
    made[f"service_slo:slo_objective:ratio{{{SLO}}}"] = "0.999"
    rules = {"groups": [{"name": "budgets", "interval": "1m", "rules": _budget_rules(checkout)}]}
    (tmp_path / "rules.yml").write_text(json.dumps(rules))
    info, month = "service_slo:slo_window:info", 30 * 86_400
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": f"{value}x15000"} for name, value in made.items()],
        "promql_expr_test": [
            _expect(f"round(service_slo:slo_window:seconds{{{SLO}}}, 60)", when, SLO, seconds),
            _expect(f"{info}{{{SLO}}}", when, f'__name__="{info}",{SLO},window="{window}"', 1),
            _expect(f"round(service_slo:slo_error_budget_spent:ratio{{{SLO}}}, 0.001)", when, SLO, 0.5),
            _expect(
                f"round((1 - service_slo:slo_error_budget_left:ratio{{{SLO}}}) * {month}, 60)", when, SLO, seconds / 2
            ),
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", str(file)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _budget_rules(checkout: Path) -> list[dict[str, Any]]:
    """Return the committed rules of budgets, with the ratio of the whole period that they read."""
    groups = yaml.safe_load((checkout / "prometheus" / "rules" / "slos.yml").read_text())["groups"]
    wanted = ("slo_window:", "slo_error_budget_", "slo_errors:ratio_rate30d")
    return [rule for group in groups for rule in group["rules"] if any(name in rule["record"] for name in wanted)]
