"""Callbacks that hang, raise or end their thread, and threads that cannot start, silence no other callback for long."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from perfloop_exporter.metrics.exposition import render
from perfloop_exporter.metrics.registry import MetricRegistry
from perfloop_exporter.monitor import AlertEvent, PerformanceMonitor
from perfloop_exporter.monitor.delivery import QUEUE_LIMIT

from .hostile import Raising

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def monitor() -> PerformanceMonitor:
    """Return a monitor of which every crossing is an event."""
    made = PerformanceMonitor(MetricRegistry(), alert_interval_seconds=0)
    made.set_threshold("work_ms", 1)
    return made


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Return an event that is set when the test ends: what hangs, ends with it."""
    event = threading.Event()
    yield event
    event.set()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def failures(monitor: PerformanceMonitor) -> str:
    """Return the counter of events that a callback failed on."""
    text = render(monitor._registry.families()).decode()
    return "".join(line for line in text.splitlines() if line.startswith("perfloop_alert_callback_failures_total{"))


def test_a_callback_that_hangs_delays_no_other(monitor: PerformanceMonitor, release: threading.Event):
    """It holds up its own events only, and those are bounded and counted."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(lambda _event: release.wait(60))
    monitor.add_alert_callback(events.append)
    for _ in range(QUEUE_LIMIT + 5):
        monitor.record_metric("work_ms", 2)
    wait_for(lambda: len(events) >= 1)
    monitor.record_metric("work_ms", 2)
    wait_for(lambda: sum(1 for _ in events) >= 2)
    assert 'reason="dropped"' in failures(monitor)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RuntimeError("on purpose")], ids=repr)
def test_a_callback_that_raises_gets_the_next_event(monitor: PerformanceMonitor, error: BaseException):
    """Also after what would end a thread or a program."""
    seen: list[float] = []

    def callback(event: AlertEvent) -> NoReturn:
        seen.append(event.value)
        raise error

    monitor.add_alert_callback(callback)
    for value in (2, 3):
        monitor.record_metric("work_ms", value)
    wait_for(lambda: seen == [2, 3])
    wait_for(lambda: failures(monitor).endswith('{reason="raised"} 2.0'))


async def test_a_coroutine_that_exits_does_not_end_the_loop(monitor: PerformanceMonitor):
    """The application's event loop goes on."""
    seen: list[float] = []

    async def callback(event: AlertEvent) -> None:
        seen.append(event.value)
        sys.exit(3)

    monitor.add_alert_callback(callback)
    monitor.record_metric("work_ms", 2)
    await monitor.stop()
    assert seen == [2]


def test_an_event_waits_for_a_thread(monitor: PerformanceMonitor, monkeypatch: pytest.MonkeyPatch):
    """Where none can be started it is delivered later, at the latest after the next scrape."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(events.append)

    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        monitor.record_metric("work_ms", 2)
        assert failures(monitor) == ""
    assert not events
    failures(monitor)  # a scrape
    wait_for(lambda: len(events) == 1)


async def test_stop_needs_no_thread(monitor: PerformanceMonitor, monkeypatch: pytest.MonkeyPatch):
    """A program that cannot start threads can still stop its monitor."""
    monkeypatch.setattr("perfloop_exporter.monitor.monitor.asyncio.to_thread", lambda *_: _raise())
    await monitor.stop()


def _raise() -> NoReturn:
    raise RuntimeError("can't start new thread")


def test_tags_without_text_still_alert(monitor: PerformanceMonitor):
    """The event has a stand-in for a tag that cannot be shown."""
    events: list[AlertEvent] = []
    monitor.add_alert_callback(events.append)
    monitor.record_metric("work_ms", 2, tags={"who": Raising()})
    wait_for(lambda: len(events) == 1)
    assert events[0].tags == {"who": "<Raising>"}
