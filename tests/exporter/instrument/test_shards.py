"""Files of worker processes: round trip, sums, the archive, and damaged files."""

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
    """Record metrics of every type."""
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


def test_a_dump_is_complete():
    """Absorbed into an empty registry it gives the same text, including exemplars."""
    one, other = MetricRegistry(), MetricRegistry()
    fill(one, 1)
    shards.absorb(other, shards.dump(one.families()))
    assert render(other.families()) == render(one.families())
    assert render_openmetrics(other.families()) == render_openmetrics(one.families())


def test_dumps_add_up():
    """Counters, histograms and gauges of two equal workers are twice those of one."""
    one, other = MetricRegistry(), MetricRegistry()
    fill(one, 1)
    for _ in range(2):
        shards.absorb(other, shards.dump(one.families()))
    text = render(other.families()).decode()
    assert "active 4.0\n" in text
    assert 'app_jobs_total{quote="a\\"b\\\\c\\nd"} 100.0\n' in text


def test_gauges_of_ended_workers_are_not_archived():
    """The archive has only counters and histograms, which must never fall."""
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
    """The scrape has the metrics of all other workers, and the log names the file."""
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


def test_a_file_is_replaced_atomically(tmp_path: Path):
    """After writing twice the directory has only the file, with the second text."""
    path = tmp_path / "1.json"
    shards.write_whole(path, "one")
    shards.write_whole(path, "two")
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_counters_of_a_worker_that_leaves_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The next worker in the same directory exports them, once."""
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


def test_a_removed_directory_costs_only_the_other_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """The worker that is scraped still exports its own metrics."""
    directory = tmp_path / "shared"
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(directory))
    registry = MetricRegistry()
    group = WorkerGroup(registry)
    group.join()
    registry.counter("jobs_total", "Jobs.").labels().inc(3)
    assert "perfloop_workers 1.0\n" in render(group.families()).decode()
    shutil.rmtree(directory)
    text = render(group.families()).decode()
    group.leave()
    assert "\njobs_total 3.0\n" in text
    assert "The metrics of the other workers are left out of this scrape" in caplog.text


def test_joining_never_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A request joins the workers: it continues while another process holds the directory's lock."""
    monkeypatch.setenv("PERFLOOP_WORKERS_DIR", str(tmp_path))
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        group = WorkerGroup(MetricRegistry())
        group.join()
    group.families()
    group.leave()
