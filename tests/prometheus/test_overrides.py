"""An override for a service or a route is a line of YAML; the alerts it makes are proven like all others."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from perfloop_base.thresholds import read_thresholds
from perfloop_rules.generation import write
from perfloop_rules.threshold_rules import recording_groups

if TYPE_CHECKING:
    from pathlib import Path

LINES = """
  - {signal: db_query_time_p95, service: reports, warning: 2, critical: 5}
  - {signal: error_ratio, route: /beta, warning: 0.2, critical: 0.5}
  - {signal: api_response_time_p95, service: reports, route: /export, warning: 60}
  - {signal: api_response_time_p95, route: '/say "hi"\\d', warning: 60}
  - {signal: cpu_used_ratio, service: batch, warning: 0.99}
"""


def test_a_line_each_makes_alerts_that_pass_their_tests(directory: Path, tmp_path: Path, promtool: str):
    """For a service, a route, and both: promtool takes the rules, which fire at their own limits and not at others."""
    copy = tmp_path / "prometheus"
    shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "thresholds.yml"
    file.write_text(file.read_text().replace("\noverrides:\n", f"\noverrides:{LINES}"))
    write(tmp_path)
    for command in (["check", "rules", "alerts/thresholds.yml"], ["test", "rules", "tests/thresholds_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_overridden_route_leaves_its_service(directory: Path):
    """The service's own number is computed without it, at every quantile and bound; other signals keep all."""
    thresholds = read_thresholds(directory / "thresholds.yml")
    exprs = {rule["record"]: rule["expr"] for group in recording_groups(thresholds) for rule in group["rules"]}
    without = 'unless http_server_request_duration_seconds_bucket{http_route="/v1/chat/completions"}'
    for quantile in ("p50", "p95", "p99", "p95_low", "p95_high"):
        expr = exprs[f"service:http_server_request_duration_seconds:{quantile}_rate1m"]
        assert without in " ".join(expr.split())
    errors = thresholds.find_signal("error_ratio")
    assert errors is not None
    assert exprs[errors.record] == errors.expr
