"""A child process that ends with its parent, whatever either is doing."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process when its parent ends, also when the parent is killed; on Linux alone.

    Elsewhere a child ends once it looks at its pipe again. The kernel means the thread that started the child.

    Args:
        parent: the parent's number; None: the process that multiprocessing knows as such, if there is one.
    """
    known = multiprocessing.parent_process()
    expected = parent if parent is not None else known.pid if known is not None else None
    if sys.platform != "linux" or expected is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected:
        os._exit(1)  # it ended before the kernel was asked
