from __future__ import annotations

import os
import subprocess

import pytest

from perfloop_base.processes import find_process, identify, is_alive


def test_a_process_is_known_while_it_runs() -> None:
    """Its name holds its number, is the same each time, and ends with it: a zombie is gone."""
    process = subprocess.Popen(["sleep", "60"])
    name = identify(process.pid)
    assert name.startswith(f"{process.pid}:")
    assert name == identify(process.pid)
    found = find_process(name)
    assert found is not None
    assert found.pid == process.pid
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(name)
    process.wait()
    assert not is_alive(name)


def test_a_later_process_of_the_same_number_is_another() -> None:
    """The number alone is not enough."""
    assert is_alive(identify())
    assert not is_alive(f"{os.getpid()}:1")


@pytest.mark.parametrize("text", ["", "x", "-1:2", "12", "99999999999999999999:1", "²:1", "[1]"])
def test_a_text_that_names_no_process(text: str) -> None:
    """What a broken file holds is nobody's name."""
    assert find_process(text) is None
