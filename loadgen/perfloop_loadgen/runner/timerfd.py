"""The kernel's timerfd, through `os` where Python has it (3.13), else through the C library."""

from __future__ import annotations

import ctypes
import functools
import os
import time

_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC have these very values
_SECOND = 1_000_000_000


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


def create_timerfd() -> int:
    """Return a timer on the monotonic clock, as a non-blocking file descriptor."""
    descriptor = int(_libc().timerfd_create(time.CLOCK_MONOTONIC, _FLAGS))
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "timerfd_create")
    return descriptor


def set_timerfd(descriptor: int, due_nanoseconds: int) -> None:
    """Make the descriptor readable once the monotonic clock shows `due_nanoseconds`."""
    spec = _Spec(0, 0, due_nanoseconds // _SECOND, max(1, due_nanoseconds % _SECOND))
    if _libc().timerfd_settime(descriptor, _ABSOLUTE, ctypes.byref(spec), None) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "timerfd_settime")
