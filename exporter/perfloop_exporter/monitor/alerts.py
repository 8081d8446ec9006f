"""Delivery of threshold crossings to the user's callbacks, without ever blocking the code that records values."""

from __future__ import annotations

import asyncio
import atexit
import inspect
import logging
import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

log = logging.getLogger("perfloop")

Direction = Literal["above", "below"]
# Pending deliveries at most: a callback that hangs must not fill the memory.
QUEUE_LIMIT = 1000
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
    """Calls coroutine functions on the event loop, plain functions on one thread of its own."""

    def __init__(self, interval_seconds: float) -> None:
        self.interval_seconds = interval_seconds
        self.loop: asyncio.AbstractEventLoop | None = None
        self._callbacks: list[AlertCallback] = []
        self._tasks: set[asyncio.Future[None]] = set()
        self._queue: queue.Queue[tuple[AlertCallback, AlertEvent]] = queue.Queue(QUEUE_LIMIT)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._skipped: dict[str, int] = {}

    def add(self, callback: AlertCallback) -> None:
        """Call `callback(event)` for every event from now on.

        Raises:
            TypeError: It is not callable.
        """
        if not callable(callback):
            raise TypeError(f"Alert callback {callback!r} is not callable: it must be a function of one event")
        self._callbacks.append(callback)

    def remove(self, callback: AlertCallback) -> None:
        """Stop calling `callback`.

        Raises:
            ValueError: It was not added.
        """
        self._callbacks.remove(callback)

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
        for callback in tuple(self._callbacks):
            if is_async(callback):
                self._on_loop(callback, event)
            else:
                self._on_thread(callback, event)

    def _on_loop(self, callback: AlertCallback, event: AlertEvent) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None:
            self._spawn(callback, event)
        elif self.loop is not None and self.loop.is_running():
            self.loop.call_soon_threadsafe(self._spawn, callback, event)
        else:
            self._on_thread(callback, event)

    def _spawn(self, callback: AlertCallback, event: AlertEvent) -> None:
        task = asyncio.ensure_future(_call(callback, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_thread(self, callback: AlertCallback, event: AlertEvent) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="perfloop-alerts", daemon=True)
                self._thread.start()
                atexit.register(self.drain)
        try:
            self._queue.put_nowait((callback, event))
        except queue.Full:
            log.warning("Alert of %r was dropped: %d deliveries are pending already", event.metric, QUEUE_LIMIT)

    def _work(self) -> None:
        while True:
            callback, event = self._queue.get()
            try:
                asyncio.run(_call(callback, event)) if is_async(callback) else _call_plain(callback, event)
            finally:
                self._queue.task_done()

    async def settle(self) -> None:
        """Wait until the coroutines of this loop have ended, at most DRAIN_SECONDS."""
        loop = asyncio.get_running_loop()
        waiting = [task for task in self._tasks if task.get_loop() is loop]
        if waiting:
            await asyncio.wait(waiting, timeout=DRAIN_SECONDS)

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until the thread has delivered what is queued, at most `seconds`."""
        finished = threading.Thread(target=self._queue.join, daemon=True)
        finished.start()
        finished.join(seconds)

    def reset(self) -> None:
        """Drop the queue and the thread: in a forked process both stay with the parent."""
        self._lock = threading.Lock()
        self._queue = queue.Queue(QUEUE_LIMIT)
        self._thread = None


def is_async(callback: AlertCallback) -> bool:
    """Return whether a call of it has to be awaited."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(getattr(callback, "__call__", None))  # noqa: B004 - looks for an async __call__, not for callability


async def _call(callback: AlertCallback, event: AlertEvent) -> None:
    try:
        answer: Any = callback(event)
        if isinstance(answer, Awaitable):
            await answer
    except Exception:
        log.exception("Alert callback %r failed for metric %r", callback, event.metric)


def _call_plain(callback: AlertCallback, event: AlertEvent) -> None:
    try:
        callback(event)
    except Exception:
        log.exception("Alert callback %r failed for metric %r", callback, event.metric)
