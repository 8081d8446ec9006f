"""Precise appointments: what is due on the monotonic clock is called within a fraction of a millisecond.

The event loop's own timers count whole milliseconds, which is too coarse above some hundred requests per second. On
Linux a timerfd wakes the loop instead; elsewhere the loop spins through the last millisecond.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import functools
import heapq
import os
import sys
import time
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfloop_loadgen.ports import Clock

_MILLISECOND = 1_000_000
_SECOND = 1_000_000_000


class Agenda:
    """Calls back what is due, in order, from the running event loop. Times are nanoseconds of the run's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        # The number keeps appointments of the same moment in the order of their making; functions do not compare.
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = count()
        self._armed_for: int | None = None
        self._timer = _create_timerfd() if sys.platform == "linux" else None
        self._handle: asyncio.TimerHandle | asyncio.Handle | None = None
        if self._timer is not None:
            self._loop.add_reader(self._timer, self._woken)

    def now(self) -> int:
        """Return the time on the run's clock."""
        return self._clock()

    def at(self, due: int, call: Callable[[int], None]) -> None:
        """Call with the time of the call once the clock shows `due`."""
        heapq.heappush(self._due, (due, next(self._number), call))
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
            _set_timerfd(self._timer, due)
            return
        if self._handle is not None:
            self._handle.cancel()
        left = due - self._clock()
        if left > 2 * _MILLISECOND:
            self._handle = self._loop.call_later((left - _MILLISECOND) / 1e9, self._call_due)
        else:
            self._handle = self._loop.call_soon(self._call_due)

    def _woken(self) -> None:
        if self._timer is None:
            return
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return
        self._call_due()

    def _call_due(self) -> None:
        """Call everything that is due, then wait for the next one."""
        due = self._due
        self._armed_for = None
        now = self._clock()
        while due and due[0][0] <= now:
            heapq.heappop(due)[2](now)
            now = self._clock()
        if due and self._armed_for is None:
            self._arm(max(due[0][0], now + 1))


# The kernel's timerfd through the C library: `os.timerfd_create` exists from Python 3.13 on only.
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC have these very values


class _Spec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _create_timerfd() -> int | None:
    """Return a timer on the monotonic clock, as a non-blocking file descriptor; None where none is left."""
    descriptor = int(_libc().timerfd_create(time.CLOCK_MONOTONIC, _FLAGS))
    if descriptor >= 0:
        return descriptor
    code = ctypes.get_errno()
    if code in {errno.EMFILE, errno.ENFILE}:
        return None  # the requests will fail for the same reason, and be counted under its name
    raise OSError(code, os.strerror(code), "timerfd_create")


def _set_timerfd(descriptor: int, due_nanoseconds: int) -> None:
    """Make the descriptor readable once the monotonic clock shows `due_nanoseconds`."""
    # A time of 0 would switch the timer off: the nanoseconds are at least one.
    spec = _Spec(0, 0, due_nanoseconds // _SECOND, max(1, due_nanoseconds % _SECOND))
    if _libc().timerfd_settime(descriptor, _ABSOLUTE, ctypes.byref(spec), None) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "timerfd_settime")
