"""Precise appointments: what is due on the monotonic clock is called within a fraction of a millisecond.

The event loop's own timers count whole milliseconds, which is too coarse above some hundred requests per second. On
Linux a timerfd wakes the loop instead; elsewhere the loop spins through the last millisecond.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import sys
from itertools import count
from typing import TYPE_CHECKING

from perfloop_loadgen.runner.timerfd import create_timerfd, set_timerfd

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.ports import Clock

_MILLISECOND = 1_000_000


class Agenda:
    """Calls back what is due, in order, from the running event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._ticket = count()
        self._armed_for: int | None = None
        self._timer = create_timerfd() if sys.platform == "linux" else None
        self._handle: asyncio.TimerHandle | asyncio.Handle | None = None
        if self._timer is not None:
            self._loop.add_reader(self._timer, self._woken)

    def now(self) -> int:
        """Return the time on the run's clock."""
        return self._clock()

    def at(self, due: int, call: Callable[[int], None]) -> None:
        """Call with the time of the call once the clock shows `due`."""
        heapq.heappush(self._due, (due, next(self._ticket), call))
        if self._armed_for is None or due < self._armed_for:
            self._arm(due)

    def close(self) -> None:
        """Forget every appointment."""
        self._due.clear()
        if self._handle is not None:
            self._handle.cancel()
        if self._timer is not None:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = None

    def _arm(self, due: int) -> None:
        self._armed_for = due
        if self._timer is not None:
            set_timerfd(self._timer, due)
            return
        if self._handle is not None:
            self._handle.cancel()
        left = due - self._clock()
        if left > 2 * _MILLISECOND:
            self._handle = self._loop.call_later((left - _MILLISECOND) / 1e9, self._keep)
        else:
            self._handle = self._loop.call_soon(self._keep)

    def _woken(self) -> None:
        if self._timer is None:
            return
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return
        self._keep()

    def _keep(self) -> None:
        """Keep every appointment that is due, then look for the next one."""
        due = self._due
        self._armed_for = None
        now = self._clock()
        while due and due[0][0] <= now:
            heapq.heappop(due)[2](now)
            now = self._clock()
        if due and self._armed_for is None:
            self._arm(max(due[0][0], now + 1))
