from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import pytest

from perfloop.stack import records
from perfloop.stack.errors import BusyError
from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path


def test_running_survives_a_round_trip(tmp_path: Path) -> None:
    """What `up` records is what `status` reads."""
    running = records.Running("native", demo=True, components=(records.Watched("a", "http://a", "http://a/h"),))
    records.save_running(tmp_path, running)
    assert records.load_running(tmp_path) == running
    records.forget_running(tmp_path)
    assert records.load_running(tmp_path) is None


def test_restarts_are_counted(tmp_path: Path) -> None:
    """Each restart adds one, per component."""
    assert records.load_restarts(tmp_path) == {}
    assert records.save_restart(tmp_path, "demo", "x") == 1
    assert records.save_restart(tmp_path, "demo", "y") == 2
    assert records.load_restarts(tmp_path) == {"demo": 2}


def _take(home: Path, answers: multiprocessing.Queue[str]) -> None:
    try:
        with records.exclusive(home, ("perfloop down",)):
            answers.put("taken")
    except BusyError as error:
        answers.put(str(error))


def test_second_command_says_that_the_first_is_running(tmp_path: Path) -> None:
    """While one command holds the lock, another process is given its name and process id."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with records.exclusive(tmp_path, ("perfloop up",)):
        other = context.Process(target=_take, args=(tmp_path, answers))
        other.start()
        answer = answers.get(timeout=20)
        other.join()
    assert answer.startswith("`perfloop up` (pid ")
    assert f"is running in {tmp_path}: wait until it has ended" in answer
    assert BusyError.exit_code == ExitCode.BUSY


def test_lock_is_free_after_use(tmp_path: Path) -> None:
    """The lock can be taken again, also after an error inside it."""
    with pytest.raises(ZeroDivisionError), records.exclusive(tmp_path):
        _ = 1 / 0
    assert (tmp_path / "run" / "lock").read_text() == ""
    with records.exclusive(tmp_path):
        pass
