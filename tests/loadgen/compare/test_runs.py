"""Two documents side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perfloop_loadgen.compare.runs import Finding, compare, obstacles
from perfloop_loadgen.summary.document import Host
from perfloop_loadgen.summary.verdict import Generator, Verdict
from tests.loadgen.conftest import build_document


@pytest.mark.parametrize(
    ("factor", "finding"),
    [(1.0, Finding.SAME), (1.06, Finding.WORSE), (1.5, Finding.REGRESSED), (0.5, Finding.BETTER)],
)
def test_the_finding_follows_size_and_significance(factor: float, finding: Finding):
    """No change, a significant one below the tolerance, one above it, and an improvement."""
    rows = {row.name: row for row in compare([build_document(0.1, 1)], [build_document(0.1 * factor, 2)], 0.1)}
    assert rows["p95_seconds"].finding is finding
    assert rows["requests_per_second"].finding is Finding.SAME


def test_more_errors_are_a_regression():
    """From no error to one in fifty."""
    worse = build_document(0.1, 2)
    total = replace(worse.summary.total, total_requests=100, failed_requests=2)
    worse = replace(worse, summary=replace(worse.summary, total=total))
    rows = {row.name: row for row in compare([build_document(0.1, 1)], [worse], 0.1)}
    assert rows["error_ratio"].finding is Finding.REGRESSED


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"profile": "spike"}, "the load shape differs"),
        ({"host": Host(name="other")}, "the generator's host differs"),
        ({"config": {"concurrent_users": 50}}, "the configuration differs"),
        ({"generator": Generator(workers=3)}, "the number of workers differs"),
    ],
)
def test_runs_that_differ_do_not_compare(changes: dict[str, Any], sentence: str):
    """Each thing that differs besides the service is named."""
    found = obstacles(build_document(0.1, 1), build_document(0.1, 2, **changes))
    assert len(found) == 1
    assert found[0].startswith(sentence)


def test_runs_against_another_service_compare():
    """The address, the name and the gates may differ."""
    other = build_document(0.1, 2, config={"concurrent_users": 5, "base_url": "http://b", "thresholds": ["p95 < 1 s"]})
    assert obstacles(build_document(0.1, 1), other) == []


def test_an_invalid_run_is_no_baseline():
    """A run whose generator was the limit does not compare."""
    base = build_document(0.1, 1)
    base = replace(base, summary=replace(base.summary, verdict=Verdict.INVALID, reasons=["CPU"]))
    assert obstacles(base, build_document(0.1, 2)) == ["the base run was invalid: CPU"]
