"""CPU burn: processes of their own keep cores busy."""

from __future__ import annotations

import os
import subprocess
import sys

from perfloop_demo.service.faults.rules import Rule

# The share of each tenth of a second that is burnt, and the process that it burns for: an orphan ends by itself. The
# process is told, not asked for: it may be gone before the burner has started.
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
    """Whole cores are one process each; what is left over is one more, busy for that share of the time."""

    rule = Rule(
        "cpu_burn",
        "CPU burn",
        "number",
        "cores",
        os.cpu_count() or 1,
        "Processes beside the service keep this many cores busy.",
    )

    def __init__(self) -> None:
        self._burners: list[subprocess.Popen[bytes]] = []

    def apply(self, value: float) -> None:
        """Burn this many cores; what burnt before ends first."""
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
