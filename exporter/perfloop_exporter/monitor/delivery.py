"""The deliveries to one callback: a queue, and a thread as long as there is something in it.

Each callback has its own, so that one that hangs or ends its thread keeps nothing from the others.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfloop_exporter.monitor.alerts import AlertCallback, AlertEvent

log = logging.getLogger("perfloop")

# Pending deliveries of one callback at most: a callback that hangs must not fill the memory.
QUEUE_LIMIT = 1000
# A callback that takes longer than this is reported, once.
SLOW_SECONDS = 30.0

Failed = Callable[[str], None]


class Delivery:
    """Calls one callback with one event after the other.

    Args:
        callback: A function or a coroutine function of one event.
        failed: Called with `raised` or `dropped` for an event that the callback failed on or never got.
    """

    def __init__(self, callback: AlertCallback, failed: Failed) -> None:
        self.callback = callback
        self._failed = failed
        self._lock = threading.Lock()
        self._queue: deque[AlertEvent] = deque()
        self._running = False
        self._since: float | None = None  # when the call in progress began
        self._reported = False

    @property
    def idle(self) -> bool:
        """Whether everything has been delivered."""
        return not self._running and not self._queue

    def put(self, event: AlertEvent) -> None:
        """Queue an event; never waits, and never raises."""
        self._report_slowness()
        with self._lock:
            full = len(self._queue) >= QUEUE_LIMIT
            if not full:
                self._queue.append(event)
        if full:
            self._failed("dropped")
            log.warning("Alert of %r was dropped: %d deliveries are pending already", event.metric, QUEUE_LIMIT)
        self.resume()

    def resume(self) -> None:
        """Start the thread where events wait and none runs; where that fails they wait for the next call."""
        with self._lock:
            if self._running or not self._queue:
                return
            self._running = True
            try:
                threading.Thread(target=self._work, name="perfloop-alerts", daemon=True).start()
            except RuntimeError as error:  # the limit of the machine or of the container
                self._running = False
                if not self._reported:
                    self._reported = True
                    log.warning("Alerts wait, they are tried again with every scrape and alert: %s", error)

    def _report_slowness(self) -> None:
        since = self._since
        if since is not None and not self._reported and time.monotonic() - since > SLOW_SECONDS:
            self._reported = True
            log.warning("Alert callback %r has not returned for %.0f s", self.callback, time.monotonic() - since)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._running = False
                    self._reported = False
                    return
                event = self._queue.popleft()
            self._since = time.monotonic()
            try:
                if is_async(self.callback):
                    asyncio.run(call_async(self.callback, event, self._failed))
                else:
                    self._call(event)
            except BaseException:  # the next event is delivered, whatever this one did to its event loop
                self._failed("raised")
                log.exception("Alert callback %r ended its event loop", self.callback)
            self._since = None

    def _call(self, event: AlertEvent) -> None:
        try:
            self.callback(event)
        except BaseException:  # also SystemExit: a callback ends neither its thread nor the program
            self._failed("raised")
            log.exception("Alert callback %r failed for metric %r", self.callback, event.metric)

    def reset(self) -> None:
        """Drop the queue and the thread: in a forked process both stay with the parent."""
        self._lock = threading.Lock()
        self._queue = deque()
        self._running = self._reported = False
        self._since = None


def is_async(callback: AlertCallback) -> bool:
    """Return whether a call of it has to be awaited."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(getattr(callback, "__call__", None))  # noqa: B004 - looks for an async __call__, not for callability


async def call_async(callback: AlertCallback, event: AlertEvent, failed: Failed) -> None:
    """Call and await a coroutine function; what it raises is logged."""
    try:
        answer: Any = callback(event)
        if isinstance(answer, Awaitable):
            await answer
    except (Exception, SystemExit):  # SystemExit would end the application's event loop
        failed("raised")
        log.exception("Alert callback %r failed for metric %r", callback, event.metric)
