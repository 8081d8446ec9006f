"""CPU burn: processes of their own keep cores busy."""

from __future__ import annotations

import os
import subprocess
import sys

from perfloop_demo.service.faults.rules import Rule

# Arguments: the share of each tenth of a second to burn, and the parent's process id, so that an orphan ends by itself.
# The id is passed because the parent may be gone before the burner has started.
_BURNER = """
import os, sys, time
share, parent = float(sys.argv[1]), int(sys.argv[2])
while os.getppid() == parent:
    start = time.perf_counter()
    while time.perf_counter() - start < 0.1 * share:
        sum(range(1000))
    time.sleep(0.1 * (1 - share))
"""


class CpuBurn:
    """One process for each whole core, and one that is busy for the remaining share of the time."""

    rule = Rule(
        "cpu_burn",
        "CPU burn",
        "number",
        "cores",
        os.cpu_count() or 1,
        "Separate processes keep this many cores busy.",
    )

    def __init__(self) -> None:
        self._burners: list[subprocess.Popen[bytes]] = []

    def apply(self, value: float) -> None:
        """Keep this many cores busy; burners of an earlier setting end first."""
        self._stop()
        shares = [1.0] * int(value)
        if value % 1:
            shares.append(value % 1)
        for share in shares:
            command = [sys.executable, "-I", "-S", "-c", _BURNER, str(share), str(os.getpid())]
            self._burners.append(subprocess.Popen(command))  # noqa: S603 - our own interpreter and our own text

    def _stop(self) -> None:
        for burner in self._burners:
            burner.kill()
        for burner in self._burners:
            burner.wait()
        self._burners.clear()
