"""How supervisord looks after the components: its configuration file and its control socket."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shlex
import socket
import stat
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from perfloop.stack.errors import StackError
from perfloop.stack.strays import GUARDIAN, MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perfloop.stack.components import Component

_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes, and supervisord makes a temporary name beside it
_LOG_BYTES = "10MB"
_START_SECONDS = 10.0
_ANSWER_SECONDS = 5.0  # a supervisord that hangs must not make every command hang
_NEVER_GIVE_UP = 1_000_000
# The last: an answer that breaks off, since supervisord was killed while it wrote.
_FAILURES = (OSError, xmlrpc.client.Error, http.client.HTTPException, ExpatError)


def socket_path(home: Path) -> Path:
    """Return the control socket's path: below the home, or in a short directory of its own when that is too long.

    The short one does not depend on TMPDIR, which may differ between the shells of `perfloop up` and `perfloop down`.
    """
    path = home / "run" / "supervisor.sock"
    if len(os.fsencode(path.absolute())) <= _LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    return Path("/tmp") / f"perfloop-{os.getuid()}-{name}" / path.name  # noqa: S108 - private: see prepare_socket


def prepare_socket(home: Path) -> None:
    """Make the directory of the control socket, which its owner alone may enter.

    Raises:
        StackError: when a directory of that name belongs to somebody else.
    """
    directory = socket_path(home).parent
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = directory.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise StackError(f"{directory} belongs to another user: the control socket of the stack cannot be made there")


def remove_socket(home: Path) -> None:
    """Remove the control socket, and its directory when that is not the home's own."""
    path = socket_path(home)
    path.unlink(missing_ok=True)
    if path.parent != home / "run":
        with contextlib.suppress(FileNotFoundError):
            path.parent.rmdir()


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _section(title: str, values: dict[str, object]) -> str:
    lines = [f"[{title}]", *(f"{key}={_escape(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _program(component: Component, home: Path) -> str:
    variables = {**component.environment, MARK: component.name}
    environment = ",".join(f'{key}="{value}"' for key, value in sorted(variables.items()))
    values: dict[str, object] = {
        "command": shlex.join(component.command),
        "autostart": "false",  # `perfloop up` starts them wave by wave
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 20,
        "stopwaitsecs": 10,
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": home / "logs" / f"{component.name}.log",
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": 2,
        "environment": environment,
    }
    return _section(f"program:{component.name}", values)


def render_supervisord(components: Iterable[Component], *, home: Path, directory: Path) -> str:
    """Return the text of `supervisord.conf`: each component a program, and the guardian that is notified of their ends.

    Args:
        components: the programs.
        home: the directory of the stack.
        directory: the working directory of every program.
    """
    socket = socket_path(home)
    supervisord: dict[str, object] = {
        "logfile": home / "logs" / "supervisord.log",
        "logfile_maxbytes": _LOG_BYTES,
        "pidfile": home / "run" / "supervisord.pid",
        "directory": directory,
        "childlogdir": home / "logs",
        "nocleanup": "true",
        "umask": "077",  # whatever the shell of `perfloop up` has
    }
    if os.geteuid() == 0:
        supervisord["user"] = "root"  # said outright, or supervisord warns that nobody said it
    guardian: dict[str, object] = {
        "command": shlex.join((sys.executable, "-P", "-m", "perfloop.stack.guardian", str(home))),
        "events": "PROCESS_STATE",
        "buffer_size": 1000,
        "autorestart": "true",
        "startretries": _NEVER_GIVE_UP,  # without it nobody looks after the components
        "environment": f'{MARK}="{GUARDIAN}"',
        "stderr_logfile": home / "logs" / f"{GUARDIAN}.log",
        "stderr_logfile_maxbytes": _LOG_BYTES,
    }
    return "\n".join(
        [
            _section("unix_http_server", {"file": socket, "chmod": "0700"}),
            _section("supervisord", supervisord),
            _section(
                "rpcinterface:supervisor",
                {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
            ),
            _section(f"eventlistener:{GUARDIAN}", guardian),
            *(_program(component, home) for component in components),
        ]
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket; a connection that fails leaves nothing open."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self.sock = connection


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 - the base class's signature
        self._connection = ("localhost", _UnixConnection(self._path, self._timeout))
        return self._connection[1]


class Supervisor:
    """A supervisord, over its control socket; one that does not answer within `timeout` seconds counts as none."""

    def __init__(self, home: Path, timeout: float = _ANSWER_SECONDS) -> None:
        self._home = home
        self._timeout = timeout
        self._socket = socket_path(home)

    @contextlib.contextmanager
    def _calls(self) -> Iterator[Any]:
        transport = _UnixTransport(str(self._socket), self._timeout)
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
            yield proxy.supervisor

    def is_running(self) -> bool:
        """Return whether a supervisord answers."""
        try:
            with self._calls() as calls:
                return bool(calls.getState()["statename"] == "RUNNING")
        except _FAILURES:
            return False

    def pid(self) -> int | None:
        """Return supervisord's process id, or None where none answers."""
        try:
            with self._calls() as calls:
                return int(calls.getPID())
        except _FAILURES:
            return None

    def launch(self, environment: dict[str, str]) -> None:
        """Start supervisord in the background and wait until it answers.

        Raises:
            StackError: with what it said instead.
        """
        prepare_socket(self._home)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._home / "etc" / "supervisord.conf")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own configuration
        deadline = time.monotonic() + _START_SECONDS
        while done.returncode == 0 and time.monotonic() < deadline:
            if self.is_running():
                return
            time.sleep(0.05)
        raise StackError(
            f"supervisord did not start: {(done.stderr or done.stdout).strip() or 'see logs/supervisord.log'}"
        )

    def start(self, name: str) -> None:
        """Start one program; one that runs already is left alone.

        Raises:
            StackError: supervisord does not answer, or cannot start it.
        """
        try:
            with self._calls() as calls:
                calls.startProcess(name, False)  # noqa: FBT003 - the protocol's own signature: do not wait
        except xmlrpc.client.Fault as fault:
            # One that ended within the call (SPAWN_ERROR) is tried again by supervisord, like one that ends after it.
            if not fault.faultString.startswith(("ALREADY_STARTED", "SPAWN_ERROR")):
                raise StackError(f"{name} cannot be started: {fault.faultString}") from fault
        except _FAILURES as error:
            raise StackError(f"{name} cannot be started: supervisord does not answer ({error})") from error

    def reload(self, name: str) -> None:
        """Send SIGHUP to one program, which reads its configuration again; one that is down is left alone."""
        with contextlib.suppress(*_FAILURES), self._calls() as calls:
            calls.signalProcess(name, "HUP")

    def ask_processes(self) -> dict[str, dict[str, Any]] | None:
        """Return supervisord's own view of each program: `statename`, `pid`, and `start` in Unix seconds.

        None: it does not answer.
        """
        try:
            with self._calls() as calls:
                return {info["name"]: info for info in calls.getAllProcessInfo()}
        except _FAILURES:
            return None

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return what `ask_processes` returns, and nothing where no supervisord answers."""
        return self.ask_processes() or {}

    def shutdown(self) -> None:
        """Ask supervisord to stop every program and itself."""
        with contextlib.suppress(*_FAILURES), self._calls() as calls:
            calls.shutdown()
