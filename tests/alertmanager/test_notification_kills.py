"""The benchmark of random kills, small: nothing is lost, and it says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.free_ports import find_free_ports

CHECKOUT = Path(__file__).resolve().parents[2]
ALERTS_SECONDS = 900


@pytest.mark.slow
@pytest.mark.timeout(ALERTS_SECONDS)
@pytest.mark.skipif(not os.environ.get("PERFLOOP_LONG_TESTS"), reason="takes four minutes: set PERFLOOP_LONG_TESTS=1")
def test_fifteen_kills_lose_nothing(tmp_path: Path, prometheus_binary: str, alertmanager_binary: str):
    """Every incident and every all-clear is delivered by every channel."""
    del prometheus_binary, alertmanager_binary
    first_port = max(find_free_ports(1)[0], 20_000) % 30_000 + 20_000
    command = [sys.executable, "benchmarks/notification_kills.py", "--kills=15", f"--first-port={first_port}"]
    done = subprocess.run(
        [*command, f"--keep={tmp_path}"],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=False,
        capture_output=True,
        text=True,
        timeout=ALERTS_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 0 | 0 |" in done.stdout
