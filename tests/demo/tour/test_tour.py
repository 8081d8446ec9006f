from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from perfloop_base.errors import StartError
from perfloop_demo.tour.stack import wait_for
from perfloop_demo.tour.steps import Narrator

if TYPE_CHECKING:
    from pathlib import Path


def test_stack_that_cannot_start(tmp_path: Path):
    """Where the stack does not start, the tour ends with the stack's own sentence."""
    env = {**os.environ, "PERFLOOP_HOME": str(tmp_path), "PERFLOOP_DEMO_PORT": "many"}
    command = [sys.executable, "-m", "perfloop_demo.tour"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "perfloop tour: The stack did not start: " in done.stderr
    assert "PERFLOOP_DEMO_PORT" in done.stderr


def test_waiting_without_success():
    """The error names what did not come."""
    with pytest.raises(StartError, match="Waited 0 s for rain"):
        wait_for(lambda: None, "rain", seconds=0)


def test_lines(capsys: pytest.CaptureFixture[str]):
    """A line has the time since the start, the step and what happened."""
    Narrator().say("alert", "it fires")
    assert capsys.readouterr().out == "0:00  alert      it fires\n"
