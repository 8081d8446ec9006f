"""Thresholds and callbacks: one event per interval, in the user's unit, and recording never waits for a callback."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.monitor import AlertEvent, PerformanceMonitor

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return the monitor's clock."""
    return Clock()


@pytest.fixture
def registry() -> MetricRegistry:
    """Return a registry of the test's own."""
    return MetricRegistry()


@pytest.fixture
def monitor(registry: MetricRegistry, clock: Clock) -> PerformanceMonitor:
    """Return a monitor of the test's own, with one threshold."""
    made = PerformanceMonitor(registry, alert_interval_seconds=60, clock=clock)
    made.set_threshold("api_response_time_ms", 1000)
    return made


async def test_a_plain_callback_gets_the_event(monitor: PerformanceMonitor):
    """The event has the user's name, unit and tags; a value at the threshold does not cross it."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(events.append)
    monitor.record_metric("api_response_time_ms", 1000)
    monitor.record_metric("api_response_time_ms", 1500.5, {"endpoint": "/x"}, {"service": "api"})
    await monitor.stop()
    assert len(events) == 1
    event = events[0]
    assert (event.metric, event.value, event.threshold, event.direction) == (
        "api_response_time_ms",
        1500.5,
        1000.0,
        "above",
    )
    assert event.tags == {"service": "api"}
    assert abs(event.timestamp_seconds - time.time()) < 10


async def test_a_coroutine_callback_runs_on_the_loop(monitor: PerformanceMonitor):
    """It does so for values recorded on the loop's own thread and, once started, on any other."""
    threads: list[threading.Thread] = []
    called = asyncio.Event()

    async def callback(_event: AlertEvent) -> None:
        threads.append(threading.current_thread())
        called.set()

    monitor.add_alert_callback(callback)
    monitor.record_metric("api_response_time_ms", 2000)
    await asyncio.wait_for(called.wait(), 60)
    called.clear()
    monitor.set_threshold("database_query_ms", 100)
    await monitor.start(60)
    await asyncio.to_thread(monitor.record_metric, "database_query_ms", 200)
    await asyncio.wait_for(called.wait(), 60)
    await monitor.stop()
    assert threads == [threading.main_thread()] * 2


def test_a_coroutine_callback_without_a_loop(monitor: PerformanceMonitor):
    """In a script without a loop the callback runs, too."""
    called = threading.Event()

    async def callback(_event: AlertEvent) -> None:
        await asyncio.sleep(0)
        called.set()

    monitor.add_alert_callback(callback)
    monitor.record_metric("api_response_time_ms", 2000)
    assert called.wait(60)


async def test_one_event_per_interval(monitor: PerformanceMonitor, clock: Clock):
    """A thousand slow requests are one event; the next one has their number."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(events.append)
    for _ in range(1000):
        monitor.record_metric("api_response_time_ms", 2000)
    clock.now += 61
    monitor.record_metric("api_response_time_ms", 3000)
    await monitor.stop()
    assert [event.occurrences for event in events] == [1, 1000]


async def test_a_slow_or_broken_callback_delays_nothing(monitor: PerformanceMonitor, caplog: pytest.LogCaptureFixture):
    """Recording returns while a callback blocks; failures are logged; the other callbacks still get the event."""
    events: list[AlertEvent] = []

    recorded = threading.Event()

    def slow(_event: AlertEvent) -> None:
        assert recorded.wait(60)

    def broken(_event: AlertEvent) -> None:
        raise RuntimeError("on purpose")

    async def broken_too(_event: AlertEvent) -> None:
        raise RuntimeError("on purpose")

    for callback in (slow, broken, broken_too, events.append):
        monitor.add_alert_callback(callback)
    monitor.record_metric("api_response_time_ms", 2000)
    recorded.set()
    await monitor.stop()
    assert len(events) == 1
    assert caplog.text.count("failed for metric 'api_response_time_ms'") == 2


async def test_a_threshold_can_be_a_lower_limit(monitor: PerformanceMonitor):
    """A hit rate alerts below its threshold, by its name or by the direction given."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(events.append)
    monitor.set_threshold("cache_hit_rate_percent", 80)
    monitor.set_threshold("free_slots", 3, direction="below")
    for name, value in (("cache_hit_rate_percent", 99), ("cache_hit_rate_percent", 70), ("free_slots", 5)):
        monitor.record_metric(name, value)
    monitor.record_metric("free_slots", 2)
    await monitor.stop()
    assert [(event.metric, event.value, event.direction) for event in events] == [
        ("cache_hit_rate_percent", 70.0, "below"),
        ("free_slots", 2.0, "below"),
    ]


async def test_removed_thresholds_and_callbacks(monitor: PerformanceMonitor):
    """Neither a removed threshold nor a removed callback has any further effect."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(events.append)
    monitor.set_threshold("api_response_time_ms", None)
    monitor.record_metric("api_response_time_ms", 5000)
    monitor.set_threshold("api_response_time_ms", 1000)
    monitor.remove_alert_callback(events.append)
    monitor.record_metric("api_response_time_ms", 5000)
    await monitor.stop()
    assert not events


def test_checked_and_crossed_values_are_counted(monitor: PerformanceMonitor, registry: MetricRegistry):
    """Both counters start at 0, so that an alert can use their ratio over any window."""

    def counted() -> tuple[float, float]:
        rows = dict(line.rsplit(" ", 1) for line in render(registry.families()).decode().splitlines())
        checked, crossed = (
            f'perfloop_threshold_{what}_total{{signal="app_api_response_time_seconds"}}'
            for what in ("checked", "crossed")
        )
        return float(rows[checked]), float(rows[crossed])

    assert counted() == (0, 0)
    for value in (1000, 1001, 2000, 10):
        monitor.record_metric("api_response_time_ms", value, tags={"service": "api"})
    assert counted() == (4, 2)
    monitor.set_threshold("api_response_time_ms", 5, direction="below")
    monitor.record_metric("api_response_time_ms", 4)
    assert counted() == (5, 3)
    monitor.set_threshold("api_response_time_ms", None)
    monitor.record_metric("api_response_time_ms", 4)
    assert counted() == (5, 3)


@pytest.mark.parametrize(
    "case",
    [
        ("api_response_time_ms", 1000, "app_api_response_time_seconds", "api_response_time_p95"),
        ("cpu_percent", 70, "app_cpu_ratio", "cpu_used_ratio"),
        ("memory_percent", 80, "app_memory_ratio", "memory_used_ratio"),
        ("database_query_ms", 100, "app_database_query_seconds", "db_query_time_p95"),
        ("cache_hit_rate_percent", 80, "app_cache_hit_rate_ratio", "cache_hit_ratio"),
    ],
    ids=lambda case: str(case[0]),
)
def test_thresholds_of_the_user_are_those_of_the_stack(
    registry: MetricRegistry, checkout: Path, case: tuple[str, float, str, str]
):
    """The figures of the user's page, set in the user's units, are exported with the values of thresholds.yml."""
    name, value, wire, signal = case
    PerformanceMonitor(registry).set_threshold(name, value)
    known = yaml.safe_load((checkout / "prometheus" / "thresholds.yml").read_text())["signals"]
    limit = next(entry["warning"] for entry in known if entry["signal"] == signal)
    head = f'perfloop_threshold{{severity="warning",signal="{wire}"}} '
    line = next(line for line in render(registry.families()).decode().splitlines() if line.startswith(head))
    assert float(line.removeprefix(head)) == pytest.approx(limit)
    assert f'perfloop_threshold_info{{metric="{name}",signal="{wire}"}} 1' in render(registry.families()).decode()


def test_invalid_arguments_raise(monitor: PerformanceMonitor):
    """The message has the thing, the value and the rule."""
    with pytest.raises(ValueError, match="Threshold of 'x' has direction 'sideways': it must be 'above' or 'below'"):
        monitor.set_threshold("x", 1, "sideways")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="Alert callback 5 is not callable: it must be a function of one event"):
        monitor.add_alert_callback(5)  # type: ignore[arg-type]  # that is the point
