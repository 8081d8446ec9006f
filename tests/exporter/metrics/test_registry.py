"""The registry: one family per name, and a reset in a forked process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry

FORK = """
import os
from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import DEFAULT
from perfloop_exporter.monitor import performance_monitor

performance_monitor.record_metric("work_ms", 1000.0)
performance_monitor.record_metric("depth", 7)
performance_monitor.set_threshold("work_ms", 500)
held = DEFAULT.counter("jobs_total", "Jobs.").labels()
held.inc(5)
DEFAULT.families()
performance_monitor.record_metric("work_ms", 1000.0)
if os.fork() == 0:
    performance_monitor.record_metric("work_ms", 1000.0)
    held.inc()
    print(render(DEFAULT.families()).decode(), flush=True)
    os._exit(0)
os.wait()
"""


def test_a_second_call_returns_the_same_family():
    """A name has one family; another type or other labels under the same name are an error."""
    registry = MetricRegistry()
    family = registry.counter("jobs_total", "Jobs.", ("kind",))
    assert registry.counter("jobs_total", "Jobs.", ("kind",)) is family
    with pytest.raises(ValueError, match=r"Metric 'jobs_total' exists as .* it cannot be .*gauge"):
        registry.gauge("jobs_total", "Jobs.")


def test_the_wrong_number_of_labels_raises():
    """A series has a value for every label of its family."""
    family = MetricRegistry().counter("jobs_total", "Jobs.", ("kind", "zone"))
    with pytest.raises(ValueError, match="zip"):
        family.labels("one")


def test_a_family_without_series_is_not_exported():
    """It has no HELP and TYPE lines either."""
    registry = MetricRegistry()
    registry.counter("jobs_total", "Jobs.", ("kind",))
    assert render(registry.families()) == b""


def test_a_forked_process_counts_from_zero():
    """Counters and histograms of the parent are not the child's; gauges that were set keep their value."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert "app_work_seconds_count 1.0\n" in done.stdout
    assert "jobs_total 1.0\n" in done.stdout
    assert "app_depth 7.0\n" in done.stdout
    assert 'perfloop_threshold{severity="warning",signal="app_work_seconds"} 0.5\n' in done.stdout
