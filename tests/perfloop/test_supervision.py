"""A real supervisord looks after real processes."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from perfloop.stack import records
from perfloop.stack.components import Component
from perfloop.stack.errors import StackError
from perfloop.stack.supervision import Supervisor, prepare_socket, remove_socket, render_supervisord, socket_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _wait(condition: Callable[[], bool], seconds: float = 10) -> float:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - start


@pytest.fixture
def supervisor(tmp_path: Path, checkout: Path) -> Iterator[Supervisor]:
    """A supervisord with one component, `sleeper`, whose command has a per cent sign and a space in it."""
    for directory in ("etc", "logs", "run"):
        (tmp_path / directory).mkdir()
    command = ("sh", "-c", "echo 'up 100% of it'; exec sleep 600")
    component = Component("sleeper", command, "demo", environment={"WHO": "50%"})
    (tmp_path / "etc" / "supervisord.conf").write_text(
        render_supervisord([component], home=tmp_path, directory=checkout)
    )
    supervisor = Supervisor(tmp_path)
    supervisor.launch({**os.environ, "PERFLOOP_HOME": str(tmp_path)})
    pid = supervisor.pid()
    assert pid is not None
    supervisor.start("sleeper")
    _wait(lambda: supervisor.processes()["sleeper"]["statename"] == "RUNNING")
    yield supervisor
    records.mark_stopping(tmp_path)
    supervisor.shutdown()
    _wait(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_killed_component_comes_back_and_its_log_says_why(supervisor: Supervisor, tmp_path: Path) -> None:
    """A component killed by SIGKILL runs again within five seconds; its log and the restart count show it."""
    before = supervisor.processes()["sleeper"]["pid"]
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        process = supervisor.processes()["sleeper"]
        return bool(process["statename"] == "RUNNING" and process["pid"] not in {0, before})

    assert _wait(is_back) < 5
    _wait(lambda: records.load_restarts(tmp_path) == {"sleeper": 1})
    log = tmp_path / "logs" / "sleeper.log"
    _wait(lambda: "perfloop: sleeper ended (terminated by SIGKILL; not expected); starting it again" in log.read_text())
    assert "up 100% of it" in log.read_text()


def test_start_of_a_running_component_changes_nothing(supervisor: Supervisor) -> None:
    """Starting a component twice leaves the first process alone."""
    before = supervisor.processes()["sleeper"]["pid"]
    supervisor.start("sleeper")
    assert supervisor.processes()["sleeper"]["pid"] == before


def test_nothing_answers_where_nothing_runs(tmp_path: Path) -> None:
    """A home without a supervisord is simply not running."""
    assert not Supervisor(tmp_path).is_running()
    assert Supervisor(tmp_path).pid() is None
    assert Supervisor(tmp_path).processes() == {}


def test_a_home_with_a_long_path_has_its_socket_in_a_short_private_directory(tmp_path: Path) -> None:
    """A path below the home that is longer than a socket's may be gives way to a directory for its owner alone."""
    home = tmp_path / ("x" * 120)
    home.mkdir()
    prepare_socket(home)
    path = socket_path(home)
    assert len(os.fsencode(path)) <= 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    remove_socket(home)
    assert not path.parent.exists()


def test_each_home_has_a_socket_of_its_own(tmp_path: Path) -> None:
    """Two stacks whose homes have long paths do not meet on one socket."""
    homes = [tmp_path / ("x" * 120) / name for name in ("one", "two")]
    assert len({socket_path(home) for home in homes}) == 2


def test_a_directory_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    """A link that somebody put in the place of the socket's directory is not followed."""
    home = tmp_path / ("x" * 120)
    directory = socket_path(home).parent
    directory.symlink_to(tmp_path)
    try:
        with pytest.raises(StackError, match="cannot be made there"):
            prepare_socket(home)
    finally:
        directory.unlink()


@pytest.mark.parametrize("answer", [b"<?xml version='1.0'?><methodRes", b"", b"<methodResponse><params><param><value>"])
def test_an_answer_that_breaks_off_is_none(tmp_path: Path, answer: bytes) -> None:
    """Supervisord was killed while it wrote: whoever asked goes on as where it does not answer."""
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    prepare_socket(home)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 4000\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path(home)))
        listener.listen()

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + answer)

        thread = threading.Thread(target=reply)
        thread.start()
        assert Supervisor(home).ask_processes() is None
        thread.join()
