"""A percentile on a board says no more than its buckets know, by Prometheus's own engine."""

from __future__ import annotations

import subprocess
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop_base.buckets import NAMED
from perfloop_base.precision import precise
from perfloop_boards.queries import buckets
from tests.grafana.boards import fill_in

if TYPE_CHECKING:
    from pathlib import Path

OPENTELEMETRY = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
Case = tuple[str, Sequence[float], float | None, tuple[float | str | None, ...]]
# Each with what 100 equal requests a minute show: the value, or more than and at most.
CASES: list[Case] = [
    ("fine", NAMED["fine"], 0.501, (0.55, None, None)),
    ("fine, microseconds", NAMED["fine"], 0.000951, (0.001, None, None)),
    ("fine, seconds", NAMED["fine"], 12.5, (13, None, None)),
    ("medium", NAMED["medium"], 0.501, (0.62, None, None)),
    ("coarse", NAMED["coarse"], 0.501, (None, 0.5, 0.75)),
    ("of OpenTelemetry", OPENTELEMETRY, 0.501, (None, 0.5, 0.75)),
    ("below the first bound", OPENTELEMETRY, 0.0002, (None, None, 0.005)),
    ("above the last bound", OPENTELEMETRY, 44.0, (None, 10, None)),
    ("no request", OPENTELEMETRY, None, (None, None, None)),
    ("no request, fine", NAMED["fine"], None, ("NaN", None, None)),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("by", [(), ("service",)])
def test_a_percentile_is_a_value_or_its_bounds(promtool: str, tmp_path: Path, case: Case, by: tuple[str, ...]):
    """What always takes 501 ms is between 500 and 750 ms where no more is known, and never 740 ms."""
    _, bounds, seconds, shown = case
    place = len(bounds) + 1 if seconds is None else bisect_left(bounds, seconds)
    rates = [100 * (at >= place) for at in range(len(bounds) + 1)]
    series = [
        {"series": f'x_seconds_bucket{{service="shop",le="{le}"}}', "values": f"0+{rate}x60"}
        for le, rate in zip([*bounds, "+Inf"], rates, strict=True)
    ]
    series.append({"series": 'x_seconds_count{service="shop"}', "values": f"0+{rates[-1]}x60"})
    found = precise(0.95, buckets("x_seconds", 'service=~"$service"', by=by))
    labels = '{service="shop"}' if by else "{}"
    questions = [
        {
            # Within a thousandth: an older promtool compares every digit.
            "expr": f"abs(({fill_in(query, {'service': '.*'})}) / {value or 1} - 1) < bool 0.001",
            "eval_time": "10m",
            "exp_samples": [] if value is None else [{"labels": labels, "value": 1}],
        }
        for query, value in zip((found.value, found.low, found.high), shown, strict=True)
        if value != "NaN"  # promtool compares no NaN
    ]
    test = {"interval": "15s", "input_series": series, "promql_expr_test": questions}
    path = tmp_path / "precision.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_bracket_within_a_matcher_is_no_bracket_of_the_query():
    """How many buckets there are is asked of the newest values, whatever the matchers hold."""
    found = precise(0.95, 'sum by (le)(rate(x_seconds_bucket{operation!~"(?i)b[lr].*pop|wait"}[1m]))')
    assert 'count without (le) (sum by (le)((x_seconds_bucket{operation!~"(?i)b[lr].*pop|wait"}))) < 60' in found.low
