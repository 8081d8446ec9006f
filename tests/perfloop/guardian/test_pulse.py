"""A guardian that hangs is ended by its watcher, and the watcher ends with it."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

_GUARDIAN = """
import time
from perfloop.stack.guardian.pulse import start_pulse
pulse = start_pulse(seconds=0.5)
print("up", flush=True)
for _ in range({beats}):
    pulse.beat()
    time.sleep(0.1)
time.sleep({then})
"""


def _run(beats: int, then: float) -> tuple[int, float, list[psutil.Process]]:
    """Run a guardian that beats and then does nothing; return its exit code, how long it ran, and its watchers."""
    script = _GUARDIAN.format(beats=beats, then=then)
    start = time.monotonic()
    # The watcher keeps nothing of its guardian's open: the end of standard output is seen at once.
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        watchers = psutil.Process(process.pid).children()
        process.stdout.read()
        code = process.wait(timeout=20)
    return code, time.monotonic() - start, watchers


def test_one_that_hangs_is_ended() -> None:
    """By SIGKILL, since a process that is stopped takes no other signal."""
    code, seconds, watchers = _run(beats=10, then=15)
    assert code == -9
    assert 1 < seconds < 10
    assert psutil.wait_procs(watchers, timeout=5)[1] == []


def test_one_that_works_is_left_alone() -> None:
    """And its watcher ends with it."""
    code, _, watchers = _run(beats=20, then=0)
    assert code == 0
    assert len(watchers) == 1
    assert psutil.wait_procs(watchers, timeout=5)[1] == []
