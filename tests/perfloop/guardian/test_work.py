from __future__ import annotations

import subprocess
import sys
import time

from perfloop.stack.guardian.work import Work


def test_a_process_that_works_and_one_that_does_not() -> None:
    """One that is stopped has used nothing since the last look, and one that is gone is no longer there."""
    work = Work()
    command = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(command) as busy, subprocess.Popen(["sleep", "60"]) as idle:
        pids = [busy.pid, idle.pid, 2**22 + 1]
        time.sleep(0.5)
        assert work.find_working(pids) == set()
        time.sleep(1)
        assert work.find_working(pids) == {busy.pid}
        busy.kill()
        idle.kill()
