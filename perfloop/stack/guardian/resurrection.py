"""Bringing the stack back after supervisord's end: tried until it runs, or until it is to be stopped."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from perfloop.stack import records, strays
from perfloop.stack.errors import StackError
from perfloop.stack.strays import RESUMPTION, SUPERVISORD, mark
from perfloop.stack.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
_ATTEMPT_SECONDS = 600.0
_ORDERLY_ATTEMPTS = 2


def find_pause(attempt: int) -> float:
    """Return how many seconds to wait after the failure of attempt 1, 2, 3 …: twice as long each time, at most 60."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 16))


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Wait until no other guardian brings this stack back; on a disk that takes no file, go on without waiting."""
    try:
        lock = (home / "run" / "resurrection").open("a", encoding="utf-8")
    except OSError:
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _resume(home: Path, log: int) -> str | None:
    """Run `perfloop up --resume` and return None, or why it failed."""
    running = records.load_running(home)
    command = [sys.executable, "-P", "-m", "perfloop", "up", "--native", "--resume"]
    command += [] if running is None or running.demo else ["--no-demo"]
    command += ["--scale"] if running is not None and running.has_store else []
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            timeout=_ATTEMPT_SECONDS,
            check=False,
            umask=0o022,
            env=mark(os.environ, RESUMPTION, home),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return f"exit code {done.returncode}" if done.returncode else None


def _launch(home: Path) -> str | None:
    """Start supervisord with the configuration that it had, and leave the rest to its own guardian."""
    strays.end(home)
    try:
        Supervisor(home).launch(mark(os.environ, SUPERVISORD, home))
    except (StackError, OSError) as error:
        return str(error)
    return None


def _attempt(home: Path, attempt: int, log: int) -> str | None:
    """Try once; return None when a supervisord runs, else why not."""
    if Supervisor(home).is_running() and records.find_lock_holder(home) is None:
        return None
    problem = _resume(home, log)
    if problem and attempt > _ORDERLY_ATTEMPTS and not records.is_stopping(home):
        problem = _launch(home)
    return problem


def resurrect(home: Path, say: Callable[[str], None], log: int) -> None:
    """Bring the stack back, however long it takes; return when a supervisord runs or the stack is to be stopped.

    The command that people use does it: it checks, repairs and replaces what is left. When that fails twice, whatever
    the reason, supervisord is started as it was; what fails then is what any start needs, and that is tried on and on.

    Args:
        home: the directory of the stack.
        say: writes a line into the guardian's log.
        log: the descriptor of that log.
    """
    with _alone(home):
        attempt = 0
        while not records.is_stopping(home):
            attempt += 1
            try:
                problem = _attempt(home, attempt, log)
            except Exception as error:  # noqa: BLE001 - the edge of the loop: nobody else would try again
                problem = repr(error)
            if problem is None:
                return
            pause = find_pause(attempt)
            say(f"the stack could not be brought back ({problem}); trying again in {pause:.0f} s")
            time.sleep(pause)
