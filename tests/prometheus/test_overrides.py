"""An override for a service or a route is a line of YAML; the alerts it makes are proven like all others."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from perfloop_rules.generation import generate, read_sources, write_files
from perfloop_rules.threshold_rules import without_routes
from perfloop_rules.thresholds import read_thresholds

if TYPE_CHECKING:
    from pathlib import Path

LINES = """
  - {signal: db_query_time_p95, service: reports, warning: 2, critical: 5}
  - {signal: error_ratio, route: /beta, warning: 0.2, critical: 0.5}
  - {signal: api_response_time_p95, service: reports, route: /export, warning: 60}
  - {signal: cpu_used_ratio, service: batch, warning: 0.99}
"""


def test_a_line_each_makes_alerts_that_pass_their_tests(room: Path, tmp_path: Path, promtool: str):
    """For a service, a route, and both: promtool takes the rules, which fire at their own limits and not at others."""
    shutil.copytree(room, tmp_path / "prometheus", ignore=shutil.ignore_patterns("__pycache__"))
    copy = tmp_path / "prometheus"
    file = copy / "thresholds.yml"
    file.write_text(file.read_text().replace("\noverrides:\n", f"\noverrides:{LINES}"))
    write_files(copy, generate(read_sources(copy)))
    for command in (["check", "rules", "alerts/thresholds.yml"], ["test", "rules", "tests/thresholds_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_overridden_route_leaves_its_service(room: Path):
    """The service's own number is computed without it."""
    thresholds = read_thresholds(room / "thresholds.yml")
    signal = next(one for one in thresholds.signals if one.name == "api_response_time_p95")
    expr = without_routes(signal, thresholds.overrides)
    assert 'unless http_server_request_duration_seconds_bucket{http_route="/v1/chat/completions"}' in expr
    assert without_routes(signal, ()) == signal.expr
