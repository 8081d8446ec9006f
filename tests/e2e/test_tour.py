"""The tour that `make demo` shows, on the real stack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.live_stack import LiveStack

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.xdist_group("live-stack"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not os.environ.get("PERFLOOP_LONG_TESTS"),
        reason="takes about nine minutes: set PERFLOOP_LONG_TESTS=1 to run it",
    ),
]
STEPS = [
    "start",
    "watch",
    "load test",
    "baseline",
    "break",
    "alert",
    "notify",
    "analyze",
    "cause",
    "recommend",
    "accept",
    "prove",
    "fix",
    "recover",
    "resolved",
    "gate",
    "validate",
]


def test_tour_shows_every_step(live_stack: LiveStack):
    """The tour shows every step in order, and prints the addresses of the pages at the end."""
    env = {**os.environ, **live_stack.environment}
    env.pop("PERFLOOP_LOADGEN_STORE_URL", None)  # other tests store no runs; the tour keeps a baseline
    command = [sys.executable, "-m", "perfloop_demo.tour"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=800, env=env)
    assert done.returncode == 0, done.stderr
    shown = list(dict.fromkeys(line[6:16].strip() for line in done.stdout.splitlines()))
    assert [step for step in shown if step in STEPS] == STEPS
    assert live_stack.demo in done.stdout
    lines = {line[6:16].strip(): line[17:] for line in done.stdout.splitlines()}
    assert re.search(r"validated: expected \d+%, proved \d+%, measured \d+%", lines["validate"])
    assert "a build that is 50 ms slower fails with code 1" in lines["gate"]
