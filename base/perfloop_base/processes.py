"""Which process it was: a name for a process that no later process of the same number shares."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

_GONE = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}


def _start(pid: int) -> str:
    """Return when a process started, in the kernel's own count since boot where it can be read.

    The time of day would do elsewhere, but it moves when somebody sets the clock, and a process would become another.

    Raises:
        psutil.Error: there is no such process, or it may not be looked at.
    """
    try:
        # The name, in parentheses, may hold spaces and parentheses itself. Field 22 is `starttime`: proc(5).
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return f"{psutil.Process(pid).create_time():.2f}"


def identify(pid: int | None = None) -> str:
    """Return `PID:START` of a process, this one by default.

    Raises:
        psutil.Error: there is no such process, or it may not be looked at.
    """
    pid = os.getpid() if pid is None else pid
    return f"{pid}:{_start(pid)}"


def find_process(identity: str) -> psutil.Process | None:
    """Return the process that `identify` named, or None when it has ended or the text names none."""
    number = identity.partition(":")[0]
    if not (number.isascii() and number.isdigit()):
        return None
    try:
        process = psutil.Process(int(number))
        if process.status() in _GONE or identify(int(number)) != identity:
            return None
    except (psutil.Error, OverflowError):
        return None
    return process


def is_alive(identity: str) -> bool:
    """Return whether the process that `identify` named still runs; one that waits to be reaped does not."""
    return find_process(identity) is not None
