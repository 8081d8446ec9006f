"""The reader of PromQL: it names every metric of an expression and nothing else."""

from __future__ import annotations

import pytest

from tests.wire.promql import matched_labels, metric_names


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", {"up"}),
        ('sum by (job) (rate(a_total{x="by (b)"}[5m])) / on (c) group_left (d) e_count', {"a_total", "e_count"}),
        ("histogram_quantile(0.95, sum(rate(vllm:e2e_bucket[$__rate_interval])) by (le))", {"vllm:e2e_bucket"}),
        ("service:a:rate1m offset 20s unless b or vector(0)", {"service:a:rate1m", "b"}),
        ("max_over_time((x > 1e-3 and on () y < 1)[10m:10s]) * 1000", {"x", "y"}),
        ('label_replace(a, "b", "$1", "c", "(.+)")', {"a"}),
        ("1 - avg without (cpu) (rate(idle[1m])) >= bool 0.5", {"idle"}),
        ("topk(5, z) + Inf - NaN", {"z"}),
    ],
)
def test_names_are_the_metrics(expression: str, expected: set[str]):
    """Strings, labels, functions, keywords, numbers and durations are no metrics."""
    assert metric_names(expression) == expected


def test_labels_are_those_of_matchers():
    """Only what is in braces is a matcher."""
    assert matched_labels('sum by (z) (a{x="1", y=~"$y"} / b{w!~"q{}"})') == {"x", "y", "w"}
