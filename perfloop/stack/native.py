"""The native stack: the parts as processes of this machine, under supervisord."""

from __future__ import annotations

import os
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil

from perfloop.stack import disk, health, ports, programs, records, validation
from perfloop.stack.configuration import (
    analyzer_token_file,
    grafana_password_file,
    read_watched_files,
    write_configuration,
)
from perfloop.stack.errors import NotRunningError, ProgramError, StackError, UnhealthyError
from perfloop.stack.parts import ALERTMANAGERS, Part, build_parts
from perfloop.stack.supervision import GUARDIAN, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from perfloop.stack.settings import Settings

_WAVE_SECONDS = 60.0
_TARGETS_SECONDS = 45.0
_STOP_SECONDS = 30.0
_LOG_LINES = 15
_FOLDERS = ("analyzer", "alertmanagers", "demo", "etc", "grafana", "logs", "prometheus", "run", "targets")


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One row of `perfloop status`. `since` is ISO 8601 in UTC, empty when the part does not run."""

    name: str
    state: str
    healthy: bool
    url: str
    restarts: int
    since: str


def find_binaries(settings: Settings, say: Callable[[str], None]) -> dict[str, Path]:
    """Return where Prometheus, Alertmanager and, if it can be had, Grafana are.

    Raises:
        ProgramError: when one of the first two cannot be had.
    """
    binaries = {}
    for name in ("prometheus", "alertmanager"):
        if programs.find(name, settings.home) is None:
            say(f"{name} is not on this machine: fetching it into {settings.home}")
        binaries[name] = programs.ensure(name, settings.home)
    grafana = programs.find_grafana(settings.home)
    if grafana is None:
        try:
            grafana = programs.ensure("grafana", settings.home)
        except ProgramError:
            return binaries
    return binaries | {"grafana": grafana}


def watch(parts: list[Part], settings: Settings) -> tuple[records.Watched, ...]:
    """Return the parts as `perfloop status` needs to know them."""
    return tuple(
        records.Watched(part.name, url := f"http://127.0.0.1:{settings.ports[part.port]}", url + part.health)
        for part in parts
    )


def read_log_tail(path: Path, lines: int) -> str:
    """Return the last lines of a log, or nothing where there is none."""
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


class NativeStack:
    """Start, stop and look at a native stack. All methods block."""

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _: None) -> None:
        self._settings = settings
        self._home = settings.home
        self._say = say
        self._supervisor = Supervisor(settings.home)

    def is_running(self) -> bool:
        """Tell whether a supervisord of this home answers."""
        return self._supervisor.is_running()

    def up(self, *, demo: bool) -> records.Running:
        """Bring everything up and wait until it is well; whatever fails, nothing is left half-started.

        Raises:
            StackError: in one sentence; what this call started is stopped again.
        """
        validation.require_readable(self._settings)
        disk.require_room(self._home)
        for folder in _FOLDERS:
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        binaries = find_binaries(self._settings, self._say)
        parts = build_parts(self._settings, binaries, demo=demo)
        ports.require_free(self._settings.ports, [name for part in parts for name in (part.port, *part.extra_ports)])
        grafana_password_file(self._home)
        analyzer_token_file(self._home)
        records.forget_running(self._home)
        self._forget_notifications()
        write_configuration(self._settings, parts)
        validation.require_valid(self._settings)
        try:
            running = self._start(parts, demo=demo)
        except (Exception, KeyboardInterrupt):
            self.down()
            raise
        records.save_running(self._home, running)
        return running

    def _forget_notifications(self) -> None:
        """Let what still fires after a rest be told anew, rather than only when it would be repeated, hours later."""
        for name in ALERTMANAGERS:
            (self._home / name / "nflog").unlink(missing_ok=True)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self._settings.environment, "PERFLOOP_HOME": str(self._home), "PYTHONUNBUFFERED": "1"}

    def _start(self, parts: list[Part], *, demo: bool) -> records.Running:
        self._supervisor.launch(self._environment())
        running = records.Running("native", demo, watch(parts, self._settings))
        records.save_running(self._home, running)  # so that `status` and the guardian know it from the first moment
        for wave in sorted({part.wave for part in parts}):
            self._start_wave([part for part in parts if part.wave == wave])
        down = health.wait_targets_up(f"http://127.0.0.1:{self._settings.ports['prometheus']}", _TARGETS_SECONDS)
        if down:
            message = f"Prometheus cannot scrape {'; '.join(down)}"
            raise UnhealthyError(message)
        return running

    def _start_wave(self, parts: list[Part]) -> None:
        for part in parts:
            self._supervisor.start(part.name)
        unwell = health.wait_healthy(watch(parts, self._settings), _WAVE_SECONDS, self._gave_up)
        if unwell:
            name = next(filter(self._gave_up, unwell), unwell[0])  # the culprit before those it kept waiting
            log = read_log_tail(self._home / "logs" / f"{name}.log", _LOG_LINES)
            what = "does not stay up" if self._gave_up(name) else f"was not healthy within {_WAVE_SECONDS:.0f} s"
            message = f"{name} {what}, so the stack was stopped again; the end of its log:\n{log}"
            raise UnhealthyError(message)

    def _gave_up(self, name: str) -> bool:
        state = self._supervisor.processes().get(name, {}).get("statename")
        return state == "FATAL" or records.load_restarts(self._home).get(name, 0) > 1

    def reload(self) -> None:
        """Write the configuration anew, for what changed in the checkout or in `secrets/` since the start.

        Prometheus and Alertmanager read theirs again only when its text is another.
        """
        running = records.load_running(self._home)
        if running is None:
            return
        validation.require_readable(self._settings)
        binaries = find_binaries(self._settings, self._say)
        before = read_watched_files(self._home)
        write_configuration(self._settings, build_parts(self._settings, binaries, demo=running.demo))
        validation.require_valid(self._settings)
        after = read_watched_files(self._home)
        for part in running.parts:
            if before.get(part.name) != after.get(part.name):
                self._say(f"the configuration of {part.name} has changed: reloading it")
                self._supervisor.reload(part.name)

    def down(self) -> None:
        """Stop everything and wait until it is gone. What was measured stays on disk."""
        records.mark_stopping(self._home)
        pid = self._supervisor.pid()
        children = psutil.Process(pid).children(recursive=True) if pid else []
        self._supervisor.shutdown()
        processes = [*children, *([psutil.Process(pid)] if pid and psutil.pid_exists(pid) else [])]
        _, alive = psutil.wait_procs(processes, timeout=_STOP_SECONDS)
        for process in alive:
            process.kill()
        records.forget_running(self._home)
        (self._home / "run" / "supervisor.sock").unlink(missing_ok=True)

    def status(self) -> list[PartStatus]:
        """Return one row a part.

        Raises:
            NotRunningError: when no native stack runs here.
        """
        running = records.load_running(self._home)
        if running is None:
            message = f"no stack runs in {self._home}: `perfloop up` starts one"
            raise NotRunningError(message)
        processes = self._supervisor.processes()
        restarts = records.load_restarts(self._home)
        return [_row(part, processes.get(part.name, {}), restarts.get(part.name, 0)) for part in running.parts]

    def log_files(self) -> Mapping[str, Path]:
        """Return each part's log file by name."""
        names = [part.name for part in (records.load_running(self._home) or records.Running("", True, ())).parts]  # noqa: FBT003 - an empty record
        return {name: self._home / "logs" / f"{name}.log" for name in [*names, "supervisord", GUARDIAN]}


def _row(part: records.Watched, process: Mapping[str, object], restarts: int) -> PartStatus:
    state = str(process.get("statename", "STOPPED")).lower()
    start = process.get("start")
    since = datetime.fromtimestamp(int(str(start)), UTC).isoformat() if state == "running" and start else ""
    return PartStatus(part.name, state, health.is_healthy(part.health_url), part.url, restarts, since)


def follow(path: Path, *, lines: int, follow_on: bool) -> None:
    """Write the end of a log to standard output, and go on as it grows when asked to.

    Raises:
        StackError: when there is no such log.
    """
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise StackError(message) from error
    with file:
        sys.stdout.writelines(file.readlines()[-lines:])
        while follow_on:
            sys.stdout.write(file.read())
            sys.stdout.flush()
            time.sleep(0.2)


def remove_home(home: Path) -> None:
    """Remove all that runs have left."""
    shutil.rmtree(home, ignore_errors=True)
