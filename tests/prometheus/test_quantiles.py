"""A percentile of our histograms, as the real Prometheus computes it from the page of a service."""

from __future__ import annotations

import math
import random
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry
from tests.support.oracles import histogram_quantile

if TYPE_CHECKING:
    from pathlib import Path

QUANTILES = (0.5, 0.9, 0.95, 0.99)
CHANCE = random.Random(14)
WORK = {
    "a query that always takes 501 ms": [0.501] * 200,
    "a cache in the process": [0.00021] * 200,
    "a token every 30 ms": [abs(CHANCE.gauss(0.03, 0.004)) for _ in range(200)],
    "a page with a long tail": [0.08 * CHANCE.paretovariate(1.5) for _ in range(200)],
    "a slow report": [CHANCE.uniform(20, 55) for _ in range(200)],
    "hits and misses": [0.0004] * 150 + [0.35] * 50,
}


@pytest.mark.parametrize("what", WORK)
def test_prometheus_reads_the_percentiles_that_were_recorded(promtool: str, tmp_path: Path, what: str):
    """Each within a tenth of the truth; and the oracle of test_buckets.py is Prometheus's own formula."""
    registry = MetricRegistry()
    histogram = registry.histogram("work_seconds", "Work.").labels()
    for value in WORK[what]:
        histogram.observe(value)
    ordered = sorted(WORK[what])
    truths = {quantile: ordered[math.ceil(quantile * len(ordered)) - 1] for quantile in QUANTILES}
    computed = {quantile: histogram_quantile(quantile, histogram.bounds, histogram.read()[0]) for quantile in QUANTILES}
    lines = (line for line in render(registry.families()).decode().splitlines() if line.startswith("work_seconds"))
    series = [{"series": name, "values": value} for name, value in (line.rsplit(" ", 1) for line in lines)]
    questions = [
        {
            "expr": f"abs(histogram_quantile({quantile}, work_seconds_bucket) / {expected!r} - 1) <= bool {most:g}",
            "eval_time": "0s",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for found, most in ((truths, 0.1), (computed, 1e-9))
        for quantile, expected in found.items()
    ]
    test = {"interval": "15s", "input_series": series, "promql_expr_test": questions}
    path = tmp_path / "quantiles.yml"
    path.write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
