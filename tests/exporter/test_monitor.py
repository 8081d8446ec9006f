"""`performance_monitor`: recording, statistics, bounded memory, and never an exception in the caller."""

from __future__ import annotations

import asyncio
import math
import threading
import time

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_exporter.metrics.exposition import render, render_openmetrics
from perfloop_exporter.metrics.guard import Limits
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.monitor import MetricStats, PerformanceMonitor, Retention
from perfloop_exporter.monitor.stats import summarize


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def registry() -> MetricRegistry:
    """Return a registry of the test's own."""
    return MetricRegistry()


@pytest.fixture
def monitor(registry: MetricRegistry) -> PerformanceMonitor:
    """Return a monitor of the test's own."""
    return PerformanceMonitor(registry)


def text_of(registry: MetricRegistry) -> str:
    """Return what a scrape would get."""
    return render(registry.families()).decode()


def test_a_record_is_exported_in_base_units(monitor: PerformanceMonitor, registry: MetricRegistry):
    """Milliseconds become seconds, per cent a ratio, tags labels."""
    monitor.record_metric("api_response_time_ms", 150.5, {"endpoint": "/search"}, {"service": "api", "zone": "a"})
    monitor.record_metric("cache_hit_rate_percent", 93)
    monitor.record_metric("queue_depth", 7)
    monitor.record_metric("queue_depth", 5)
    monitor.record_metric("orders_total", 2)
    monitor.record_metric("orders_total", 3)
    text = text_of(registry)
    assert 'app_api_response_time_seconds_bucket{le="0.2",service="api",zone="a"} 1.0\n' in text
    assert 'app_api_response_time_seconds_sum{service="api",zone="a"} 0.1505\n' in text
    assert "app_cache_hit_rate_ratio 0.93\n" in text
    assert "app_queue_depth 5.0\n" in text
    assert "app_orders_total 5.0\n" in text


@given(st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=300))
def test_statistics_are_numpy_s(values: list[float]):
    """Every figure equals numpy's."""
    found = summarize(values)
    expected = [
        np.mean(values),
        np.median(values),
        *np.percentile(values, [95, 99]),
        min(values),
        max(values),
        np.std(values, ddof=1) if len(values) > 1 else 0.0,
        values[-1],
    ]
    actual = [found.mean, found.median, found.p95, found.p99, found.min, found.max, found.std, found.last]
    assert np.allclose(expected, actual, rtol=1e-9, atol=1e-6)


def test_statistics_are_in_the_user_s_own_unit(monitor: PerformanceMonitor):
    """What was recorded in milliseconds has statistics in milliseconds, over all tags."""
    for value, zone in ((100.0, "a"), (300.0, "b"), (200.0, "a")):
        monitor.record_metric("api_response_time_ms", value, tags={"zone": zone})
    stats = monitor.get_metric_stats("api_response_time_ms")
    assert (
        stats.count,
        stats.mean,
        stats.median,
        stats.min,
        stats.max,
        stats.last,
        stats.unit,
    ) == (3, 200.0, 200.0, 100.0, 300.0, 200.0, "ms")


def test_statistics_of_nothing(monitor: PerformanceMonitor):
    """A metric that was never recorded has count 0 and NaN for the rest."""
    stats = monitor.get_metric_stats("never")
    assert stats.count == 0
    assert all(
        math.isnan(getattr(stats, name)) for name in ("mean", "median", "p95", "p99", "min", "max", "std", "last")
    )
    assert isinstance(stats, MetricStats)


def test_retention_is_bounded_in_time_and_points(registry: MetricRegistry):
    """Values older than the retention, or beyond its points, are dropped; a window shortens it further."""
    clock = Clock()
    monitor = PerformanceMonitor(registry, retention=Retention(seconds=60, points=100), clock=clock)
    for number in range(1000):
        monitor.record_metric("steps", number)
    assert monitor.get_metric_stats("steps").count == 100
    assert monitor.get_metric_stats("steps").min == 900
    clock.now += 50
    monitor.record_metric("steps", -1)
    assert monitor.get_metric_stats("steps", window_seconds=10).count == 1
    clock.now += 20
    assert monitor.get_metric_stats("steps").count == 1
    clock.now += 60
    assert monitor.get_metric_stats("steps").count == 0


def test_metadata_becomes_an_exemplar(monitor: PerformanceMonitor, registry: MetricRegistry):
    """In OpenMetrics the bucket has the metadata, as far as the format's limit allows."""
    metadata = {"endpoint": "/search", "huge": "x" * 500, "trace_id": "abc"}
    monitor.record_metric("api_response_time_ms", 150.5, metadata)
    text = render_openmetrics(registry.families()).decode()
    assert '_bucket{le="0.1651"} 1.0 # {endpoint="/search",trace_id="abc"} 0.1505 ' in text
    assert " # " not in text_of(registry)


@pytest.mark.parametrize(
    ("name", "value", "tags"),
    [
        ("m", "not a number", None),
        ("m", None, None),
        ("m", float("nan"), None),
        ("m_total", float("inf"), None),
        ("m_ms", float("-inf"), None),
        ("m", 1j, {"a": "b"}),
        (None, 1, None),
        (["m"], 1, None),
        ("m", 1, "tags"),
        ("m", 1, 5),
    ],
    ids=repr,
)
def test_an_invalid_record_never_raises(
    monitor: PerformanceMonitor, registry: MetricRegistry, name: object, value: object, tags: object
):
    """The record is dropped and counted."""
    monitor.record_metric(name, value, None, tags)  # type: ignore[arg-type]  # that is the point
    dropped = [line for line in text_of(registry).splitlines() if line.startswith("perfloop_dropped_records_total{")]
    assert len(dropped) == 1
    assert dropped[0].endswith(" 1.0")


def test_tags_of_any_type_become_labels(monitor: PerformanceMonitor, registry: MetricRegistry):
    """Numbers, None, lists and unusual names are converted to text; equal keys of different types stay distinct."""
    for tag in (1, True, 1.0, None, [1, 2]):
        monitor.record_metric("odd", 1, tags={"kind of": tag})
    monitor.record_metric("odd", 1, tags={"b": "2", "a": "1"})
    monitor.record_metric("odd", 2, tags={"a": "1", "b": "2"})
    text = text_of(registry)
    for value in ("1", "True", "1.0", "None", "[1, 2]"):
        assert f'app_odd{{kind_of="{value}"}} 1.0\n' in text
    assert 'app_odd{a="1",b="2"} 2.0\n' in text
    assert text.count("\napp_odd{") == 6


def test_tags_are_capped(caplog: pytest.LogCaptureFixture):
    """A tag with too many values is folded, counted and logged once; statistics still have every value."""
    registry = MetricRegistry(Limits(label_values=10, series=100))
    monitor = PerformanceMonitor(registry)
    for user in range(500):
        monitor.record_metric("login_time_ms", 1.0, tags={"user": f"u{user}", "zone": "a"})
    text = text_of(registry)
    assert text.count("app_login_time_seconds_count{") == 11
    assert 'app_login_time_seconds_count{user="_OTHER",zone="a"} 490.0\n' in text
    assert 'perfloop_folded_labels_total{metric="app_login_time_seconds"} 490.0\n' in text
    assert len(caplog.records) == 1
    assert monitor.get_metric_stats("login_time_ms").count == 500


def test_names_are_capped(monitor: PerformanceMonitor, registry: MetricRegistry, caplog: pytest.LogCaptureFixture):
    """Names that are made from data cannot fill the memory."""
    for number in range(1000):
        monitor.record_metric(f"user_{number}_logins", 1)
    text = text_of(registry)
    assert text.count("# TYPE app_user_") == 500
    assert 'perfloop_dropped_records_total{reason="TooManyMetricsError"} 500.0\n' in text
    assert "put what varies into tags" in caplog.text


def test_no_record_is_lost_under_threads(monitor: PerformanceMonitor, registry: MetricRegistry):
    """Eight threads record while one reads: every value is counted once."""

    def work(number: int) -> None:
        for _ in range(3000):
            monitor.record_metric("work_ms", 1000.0, tags={"thread": str(number)})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        text_of(registry)
        monitor.get_metric_stats("work_ms")
    for thread in threads:
        thread.join()
    text = text_of(registry)
    assert all(f'app_work_seconds_sum{{thread="{number}"}} 3000.0\n' in text for number in range(8))
    assert monitor.get_metric_stats("work_ms").count == 10_000  # the retention's points


def test_a_declared_metric_is_exported_as_declared(monitor: PerformanceMonitor, registry: MetricRegistry):
    """Type, help and buckets are the user's; after the first value a declaration raises."""
    monitor.declare("batch_size", description="Documents per batch.", buckets=(100, 1, 10))
    monitor.record_metric("batch_size", 7)
    text = text_of(registry)
    assert "# HELP app_batch_size Documents per batch.\n# TYPE app_batch_size histogram\n" in text
    assert 'app_batch_size_bucket{le="10.0"} 1.0\n' in text
    with pytest.raises(ValueError, match="Metric 'batch_size' is in use already: declare it before its first value"):
        monitor.declare("batch_size")


def test_system_stats_are_the_machine_s(monitor: PerformanceMonitor):
    """The dictionary has what the user asked for, and its numbers are psutil's."""
    stats = monitor.get_system_stats()
    assert {"cpu_percent", "memory_percent", "disk_read_bytes", "disk_write_bytes", "network_sent_bytes"} <= set(stats)
    assert stats["memory_total_bytes"] == psutil.virtual_memory().total
    assert all(0 <= stats[name] <= 100 for name in stats if name.endswith("_percent"))
    assert abs(stats["memory_percent"] - psutil.virtual_memory().percent) < 10


def test_cpu_percent_is_over_the_time_since_the_last_call(monitor: PerformanceMonitor):
    """One busy core for 0.3 s is at least its share of the machine."""
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        pass
    assert monitor.get_system_stats()["cpu_percent"] >= 0.5 * 100 / (psutil.cpu_count() or 1)


async def test_start_samples_the_system_until_stop(monitor: PerformanceMonitor, registry: MetricRegistry):
    """Samples have statistics and thresholds; they are not exported, since the exporter does that."""
    seen = asyncio.Event()
    monitor.set_threshold("memory_percent", 0)
    monitor.add_alert_callback(lambda _event: loop.call_soon_threadsafe(seen.set))
    loop = asyncio.get_running_loop()
    await monitor.start(interval_seconds=0.02)
    await monitor.start(interval_seconds=0.02)
    await asyncio.wait_for(seen.wait(), 60)
    while monitor.get_metric_stats("cpu_percent").count < 3:  # noqa: ASYNC110 - a sample sets no event
        await asyncio.sleep(0.01)
    await monitor.stop()
    await monitor.stop()
    count = monitor.get_metric_stats("cpu_percent").count
    await asyncio.sleep(0.1)
    assert count == monitor.get_metric_stats("cpu_percent").count
    assert "app_cpu" not in text_of(registry)


async def test_an_invalid_interval_raises(monitor: PerformanceMonitor):
    """The message has the value and the rule."""
    with pytest.raises(ValueError, match="interval_seconds is 0: it must be above 0"):
        await monitor.start(interval_seconds=0)
