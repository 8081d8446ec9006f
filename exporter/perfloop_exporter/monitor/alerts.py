"""Delivery of threshold crossings to the user's callbacks, without ever blocking the code that records values."""

from __future__ import annotations

import asyncio
import atexit
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from perfloop_exporter.monitor.delivery import QUEUE_LIMIT, Delivery, call_async, is_async

if TYPE_CHECKING:
    from perfloop_exporter.metrics.registry import MetricRegistry

Direction = Literal["above", "below"]
# How long stop() and the end of the process wait for callbacks.
DRAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """A value that crossed its threshold, in the unit that the user records in.

    Callbacks are called at most once per metric and `alert_interval_seconds`; `occurrences` is the number of values
    that crossed the threshold since the event before.
    """

    metric: str
    value: float
    threshold: float
    direction: Direction
    timestamp_seconds: float
    tags: dict[str, str] = field(default_factory=dict)
    occurrences: int = 1


AlertCallback = Callable[[AlertEvent], object]


class AlertDispatcher:
    """Calls coroutine functions on the event loop, plain functions on threads of their own."""

    def __init__(self, interval_seconds: float, registry: MetricRegistry) -> None:
        self.interval_seconds = interval_seconds
        self.loop: asyncio.AbstractEventLoop | None = None
        self._registry = registry
        self._deliveries: list[Delivery] = []
        self._tasks: set[asyncio.Future[None]] = set()
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._skipped: dict[str, int] = {}
        registry.before_read(self.resume)
        registry.after_fork(self.reset)

    def add(self, callback: AlertCallback) -> None:
        """Call `callback(event)` for every event from now on.

        Raises:
            TypeError: It is not callable.
        """
        if not callable(callback):
            raise TypeError(f"Alert callback {callback!r} is not callable: it must be a function of one event")
        if not self._deliveries:
            atexit.register(self.drain)
        self._deliveries.append(Delivery(callback, self._count_failure))

    def remove(self, callback: AlertCallback) -> None:
        """Stop calling `callback`.

        Raises:
            ValueError: It was not added.
        """
        del self._deliveries[[delivery.callback for delivery in self._deliveries].index(callback)]

    def occurrences(self, metric: str, at_seconds: float) -> int:
        """Return how many crossings an event at `at_seconds` stands for; 0 within the interval after the last event."""
        with self._lock:
            last = self._last.get(metric)
            if last is not None and at_seconds - last < self.interval_seconds:
                self._skipped[metric] = self._skipped.get(metric, 0) + 1
                return 0
            self._last[metric] = at_seconds
            return self._skipped.pop(metric, 0) + 1

    def dispatch(self, event: AlertEvent) -> None:
        """Queue the event for every callback; none of them runs inside this call."""
        for delivery in tuple(self._deliveries):
            if not is_async(delivery.callback) or not self._on_loop(delivery.callback, event):
                delivery.put(event)

    def resume(self) -> None:
        """Try again to deliver what could not be delivered, for want of a thread."""
        for delivery in tuple(self._deliveries):
            delivery.resume()

    def _on_loop(self, callback: AlertCallback, event: AlertEvent) -> bool:
        """Call a coroutine function on the running loop, else on the loop of `start`; return whether there is one."""
        if len(self._tasks) >= QUEUE_LIMIT:  # they hang: further ones wait in the callback's own, bounded queue
            return False
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if self.loop is None or not self.loop.is_running():
                return False
        else:
            self._spawn(callback, event)
            return True
        try:
            self.loop.call_soon_threadsafe(self._spawn, callback, event)
        except RuntimeError:  # it has just been closed
            return False
        return True

    def _spawn(self, callback: AlertCallback, event: AlertEvent) -> None:
        task = asyncio.ensure_future(call_async(callback, event, self._count_failure))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count_failure(self, reason: str) -> None:
        self._registry.counter(
            "perfloop_alert_callback_failures_total", "Alerts that a callback failed on or never got.", ("reason",)
        ).labels(reason).inc()

    async def settle(self) -> None:
        """Wait until the coroutines of this loop have ended, at most DRAIN_SECONDS."""
        loop = asyncio.get_running_loop()
        waiting = [task for task in self._tasks if task.get_loop() is loop]
        if waiting:
            await asyncio.wait(waiting, timeout=DRAIN_SECONDS)

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until the threads have delivered what is queued, at most `seconds`."""
        end = time.monotonic() + seconds
        # Polled: waiting on the threads would take one more thread, which may be what is missing.
        while not all(delivery.idle for delivery in self._deliveries) and time.monotonic() < end:
            self.resume()
            time.sleep(0.01)

    def reset(self) -> None:
        """Drop the queues and the threads: in a forked process both stay with the parent."""
        self._lock = threading.Lock()
        self._tasks = set()
        for delivery in self._deliveries:
            delivery.reset()
