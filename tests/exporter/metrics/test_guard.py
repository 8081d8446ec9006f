"""The hard cap on label values."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.registry import MetricRegistry

if TYPE_CHECKING:
    import pytest


def test_values_beyond_the_cap_fold_into_one_and_are_counted(caplog: pytest.LogCaptureFixture):
    """Only the label that exceeds the cap is folded; a counter counts it; one warning is logged."""
    registry = MetricRegistry(Limits(label_values=3, series=1000))
    family = registry.counter("jobs_total", "Jobs.", ("user", "kind"))
    with caplog.at_level(logging.WARNING, "perfloop"):
        for number in range(10):
            family.labels(f"u{number}", "k").inc()
    text = render(registry.families()).decode()
    assert 'jobs_total{kind="k",user="_OTHER"} 7.0\n' in text
    assert 'perfloop_folded_labels_total{metric="jobs_total"} 7.0\n' in text
    assert text.count("\njobs_total{") == 4
    assert len(caplog.records) == 1
    assert (
        "Metric 'jobs_total': label 'user' exceeds the cap (3 values per label, 1000 series): "
        "further values count as '_OTHER'" in caplog.text
    )


def test_the_number_of_series_is_capped_too():
    """Several labels with few values each cannot multiply without bound."""
    registry = MetricRegistry(Limits(label_values=100, series=20))
    family = registry.counter("pairs_total", "Pairs.", ("a", "b"))
    for a in range(50):
        for b in range(50):
            family.labels(str(a), str(b)).inc()
    assert len(family.series()) <= 21
    assert sum(series.total for series in family.series()) == 2500


def test_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """A number replaces the default; anything else is logged and ignored."""
    monkeypatch.setenv("PERFLOOP_SERIES_LIMIT", "77")
    monkeypatch.setenv("PERFLOOP_LABEL_VALUES_LIMIT", "many")
    assert Limits.from_environment() == Limits(series=77)
    assert "PERFLOOP_LABEL_VALUES_LIMIT is 'many', not a whole number above 0: the default is used" in caplog.text
