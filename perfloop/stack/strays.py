"""The processes of a stack, found without its supervisor: by the mark that each carries in its environment.

A record can be cut short when its writer is killed; the mark is there from the first instruction, and whatever a
component starts inherits it. So the processes that a killed supervisord leaves are all found, and no others: a
person's own shell may have PERFLOOP_HOME, but not the mark.

They are not made to die with supervisord (Linux's PR_SET_PDEATHSIG would do it): without it the exporter measures on,
Prometheus evaluates and Alertmanager notifies, until a new supervisord replaces them.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from perfloop.stack import records
from perfloop_base.processes import find_process

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARK = "PERFLOOP_SUPERVISED"
SUPERVISORD = "supervisord"
GUARDIAN = "guardian"
RESUMPTION = "resumption"  # the `perfloop up` that a guardian runs
_TERM_SECONDS = 10.0
_KILL_SECONDS = 5.0


def mark(environment: Mapping[str, str], name: str, home: Path) -> dict[str, str]:
    """Return an environment with the mark of the component `name` of the stack in `home`."""
    return {**environment, MARK: name, "PERFLOOP_HOME": str(home)}


def _own_line() -> set[int]:
    """Return the numbers of this process and of those that it descends from: they are never ended from here."""
    this = psutil.Process()
    return {this.pid, *(parent.pid for parent in this.parents())}


def _read_mark(process: psutil.Process, home: Path) -> str | None:
    environment = process.environ()
    name, its_home = environment.get(MARK), environment.get("PERFLOOP_HOME")
    return name if name and its_home and Path(its_home).resolve() == home else None


def find_strays(home: Path) -> dict[psutil.Process, str]:
    """Return every process of the stack in `home` and the component that it is or belongs to."""
    home, spared = home.resolve(), _own_line()
    found: dict[psutil.Process, str] = {}
    for name, identity in records.load_pids(home).items():
        recorded = find_process(identity)
        if recorded is not None:
            found[recorded] = name
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone meanwhile
            marked = _read_mark(process, home)
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found[process] = marked
    return {process: name for process, name in found.items() if process.pid not in spared}


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error, OSError):
            process.send_signal(number)


def end(home: Path, names: Iterable[str] | None = None) -> list[str]:
    """End every process of a stack, or those of the components in `names`; return the components that had one.

    Who starts processes goes first and at once: a supervisord or guardian that is asked kindly, or that hangs, may
    start one more. The others have ten seconds to close their files.
    """
    wanted = None if names is None else set(names)
    strays = {process: name for process, name in find_strays(home).items() if wanted is None or name in wanted}
    starters = [process for process, name in strays.items() if name in {RESUMPTION, GUARDIAN, SUPERVISORD}]
    _signal(starters, signal.SIGKILL)
    psutil.wait_procs(starters, timeout=_KILL_SECONDS)
    others = [process for process in strays if process not in starters]
    _signal(others, signal.SIGTERM)
    _, alive = psutil.wait_procs(others, timeout=_TERM_SECONDS)
    _signal(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=_KILL_SECONDS)
    return sorted(set(strays.values()))


def is_resumption(identity: str, home: Path) -> bool:
    """Return whether a process is the `perfloop up` that a guardian runs to bring the stack in `home` back."""
    process = find_process(identity)
    if process is None or process.pid == os.getpid():
        return False
    try:
        return _read_mark(process, home.resolve()) == RESUMPTION
    except (psutil.Error, OSError):
        return False
