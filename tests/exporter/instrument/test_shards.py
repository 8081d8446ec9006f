"""What a worker writes is what another one reads; damaged files cost only themselves."""

from __future__ import annotations

import fcntl
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.instrument import shards
from perfloop_exporter.instrument.workers import WorkerGroup
from perfloop_exporter.metrics.exposition import render, render_openmetrics
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.metrics.series import Exemplar
from perfloop_exporter.monitor import PerformanceMonitor

if TYPE_CHECKING:
    from pathlib import Path


def fill(registry: MetricRegistry, seed: int) -> None:
    """Metrics of every kind."""
    source = random.Random(seed)
    monitor = PerformanceMonitor(registry)
    for _ in range(50):
        monitor.record_metric("work_ms", source.expovariate(0.01), tags={"kind": source.choice("abc")})
        monitor.record_metric("jobs_total", 1, tags={"quote": 'a"b\\c\nd'})
    monitor.record_metric("depth", source.random())
    registry.gauge("active", "Active.").labels().inc(2)
    histogram = registry.histogram("traced_seconds", "Traced.").labels()
    histogram.observe(0.3)
    histogram.keep_exemplar(Exemplar((("trace_id", "x"),), 0.3, 5.0))


def test_a_dump_holds_everything():
    """Absorbed into nothing it gives the same text, exemplars included."""
    one, other = MetricRegistry(), MetricRegistry()
    fill(one, 1)
    shards.absorb(other, shards.dump(one.families()))
    assert render(other.families()) == render(one.families())
    assert render_openmetrics(other.families()) == render_openmetrics(one.families())


def test_dumps_add_up():
    """Two workers with the same numbers are twice the counters and histograms."""
    one, other = MetricRegistry(), MetricRegistry()
    fill(one, 1)
    for _ in range(2):
        shards.absorb(other, shards.dump(one.families()))
    text = render(other.families()).decode()
    assert "active 4.0\n" in text
    assert 'app_jobs_total{quote="a\\"b\\\\c\\nd"} 100.0\n' in text


def test_the_dead_leave_no_gauges():
    """What goes into the archive is what may never fall."""
    one, archive = MetricRegistry(), MetricRegistry()
    fill(one, 1)
    shards.absorb(archive, shards.dump(one.families(), additive_only=True))
    text = render(archive.families()).decode()
    assert "app_jobs_total{" in text
    assert "active" not in text
    assert "app_depth" not in text


@pytest.mark.parametrize("damage", ["", "{", "[[1,2]]", "[[{}, []]]", '[["x", 5]]', "\x00\xff", "null"], ids=repr)
def test_a_damaged_file_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: str
):
    """The scrape has everybody else's numbers, and one line names the file."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(tmp_path))
    registry = MetricRegistry()
    group = WorkerGroup(registry)
    group.join()
    registry.counter("jobs_total", "Jobs.").labels().inc(3)
    (tmp_path / "999999.json").write_text(damage)
    text = render(group.families()).decode()
    group.leave()
    assert "\njobs_total 3.0\n" in text
    assert "999999.json are left out of this scrape" in caplog.text


def test_writing_is_all_or_nothing(tmp_path: Path):
    """No reader sees half a file, and nothing else is left behind."""
    path = tmp_path / "1.json"
    shards.write_whole(path, "one")
    shards.write_whole(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_who_leaves_is_reaped_with_all_it_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The next one in the same folder has its counters, once."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(tmp_path))
    for round_number in range(1, 4):
        registry = MetricRegistry()
        group = WorkerGroup(registry)
        group.join()
        registry.counter("jobs_total", "Jobs.").labels().inc(3)
        text = render(group.families()).decode()
        assert f"\njobs_total {3.0 * round_number}\n" in text
        assert "perfloop_workers 1.0\n" in text
        group.leave()


def test_a_folder_that_vanishes_costs_only_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The worker that is scraped still answers for itself."""
    folder = tmp_path / "shared"
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(folder))
    registry = MetricRegistry()
    group = WorkerGroup(registry)
    group.join()
    registry.counter("jobs_total", "Jobs.").labels().inc(3)
    assert "perfloop_workers 1.0\n" in render(group.families()).decode()
    shutil.rmtree(folder)
    text = render(group.families()).decode()
    group.leave()
    assert "\njobs_total 3.0\n" in text
    assert "The metrics of the other workers are left out of this scrape" in caplog.text


def test_joining_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A request joins: with the folder's lock held by a process that hangs, it goes on at once."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(tmp_path))
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        group = WorkerGroup(MetricRegistry())
        group.join()
    group.families()
    group.leave()
