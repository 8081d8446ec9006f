"""The native stack: its components as processes of this machine, under supervisord."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from perfloop.stack import (
    condition,
    configuration,
    disk,
    generation,
    health,
    otlp,
    ports,
    programs,
    records,
    strays,
    target_files,
    validation,
)
from perfloop.stack.alertmanager_version import read_version
from perfloop.stack.components import PROMETHEUS_PAIR, Component, ComponentStatus, build_components
from perfloop.stack.errors import NotRunningError, ProgramError, StackError, UnhealthyError
from perfloop.stack.remote_write import STORE
from perfloop.stack.retention import find_short_retention
from perfloop.stack.strays import GUARDIAN
from perfloop.stack.supervision import Supervisor, remove_socket
from perfloop_base.errors import ConfigError
from perfloop_base.home import make_private
from perfloop_base.state import set_aside
from perfloop_base.terminal import show_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from perfloop.stack.settings import Settings

_WAVE_SECONDS = 60.0
_TARGETS_SECONDS = 45.0
_RELOAD_SECONDS = 10.0
_STOP_SECONDS = 30.0
_LOG_LINES = 15
_READ_LINES = 500
_DIRECTORIES = ("analyzer", "alertmanagers", "demo", "etc", "grafana", "inbox", "logs", "prometheus", "run", "targets")
_STORE_PROGRAM = "victoria-metrics"  # as its packages name it


def find_binaries(settings: Settings, say: Callable[[str], None]) -> dict[str, Path]:
    """Return where the programs are: Prometheus, Alertmanager, the long-term store if there is to be one, Grafana.

    Raises:
        ProgramError: when one of them is neither installed nor downloadable; Grafana is then left out.
    """
    binaries = {}
    needed = {"prometheus": "prometheus", "alertmanager": "alertmanager"}
    needed |= {STORE: _STORE_PROGRAM} if settings.scale else {}
    for name, program in needed.items():
        if programs.find(program, settings.home) is None:
            say(f"{program} is not on this machine: fetching it into {settings.home}")
        binaries[name] = programs.ensure(program, settings.home)
    if settings.otlp:
        otlp.require_receiver(read_version(binaries["prometheus"]))
    grafana = programs.find_grafana(settings.home)
    if grafana is None:
        try:
            grafana = programs.ensure("grafana", settings.home)
        except ProgramError:
            return binaries
    return binaries | {"grafana": grafana}


def watch(components: list[Component], settings: Settings) -> tuple[records.Watched, ...]:
    """Return the components as `perfloop status` needs to know them."""
    return tuple(
        records.Watched(
            component.name, url := f"http://127.0.0.1:{settings.ports[component.port]}", url + component.health
        )
        for component in components
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
        """Return whether a supervisord of this home answers."""
        return self._supervisor.is_running()

    def find_running(self) -> records.Running | None:
        """Return what runs here: as recorded, else as the processes show that carry this home's mark."""
        recorded = records.load_running(self._home)
        if recorded is not None:
            return recorded
        names = self._supervisor.processes().keys() or set(strays.find_strays(self._home).values())
        binaries = dict.fromkeys(("prometheus", "alertmanager", STORE, "grafana"), Path("unknown"))
        settings = replace(self._settings, scale=STORE in names)
        components = build_components(settings, binaries, demo="demo" in names)
        present = [component for component in components if component.name in names]
        return records.Running("native", "demo" in names, watch(present, self._settings)) if present else None

    def up(self, *, demo: bool, resume: bool = False) -> records.Running:
        """Bring everything up and wait until it is healthy; whatever fails, nothing is left half-started.

        Args:
            demo: whether the demo service and its steady load are among the components.
            resume: bring back what ran: with the effective configuration as it was, even where the files it came from
                are broken now. Nothing is stopped where a part does not come: the guardian goes on trying.

        Raises:
            ConfigError: the configuration is wrong; one sentence for each problem.
            StackError: in one sentence; what this call started is stopped again.
        """
        disk.require_space(self._home)
        self._make_directories()
        resume = resume and (self._home / configuration.ETC / "prometheus" / "prometheus.yml").exists()
        changes = generation.Changes() if resume else validation.require_sources(self._settings)
        components = build_components(self._settings, find_binaries(self._settings, self._say), demo=demo)
        self._replace_strays()
        if not resume:
            self._require_ports(components)
        configuration.grafana_password_file(self._home)
        configuration.analyzer_token_file(self._home)
        if resume:
            self._restore_effective(components)
        else:
            validation.require_effective(self._settings, components, changes)
            self._apply(components, changes)
        records.forget_running(self._home, restarts=not resume)
        target_files.remove_stale(self._home)
        try:
            running = self._start(components, demo=demo, resume=resume)
        except (Exception, KeyboardInterrupt):
            if not resume:
                self.down()
            raise
        records.save_loaded(self._home, configuration.digest_loaded_files(self._home))
        return running

    def _make_directories(self) -> None:
        make_private(self._home)
        for name in (*_DIRECTORIES, *((PROMETHEUS_PAIR[1], STORE) if self._settings.scale else ())):
            directory = self._home / name
            if directory.exists() and not directory.is_dir():
                self._say(f"{directory} is no directory: moved to {set_aside(directory, datetime.now(UTC))}")
            make_private(directory)

    def _replace_strays(self) -> None:
        """End what an earlier stack left running without its supervisor, as late as can be: it measured until now."""
        names = sorted(set(strays.find_strays(self._home).values()))
        if names:
            self._say(f"processes of an earlier stack run without their supervisor: replacing {', '.join(names)}")
            strays.end(self._home)
            remove_socket(self._home)

    def _restore_effective(self, components: list[Component]) -> None:
        """Where the effective configuration was damaged, write it again from its sources, if those are good."""
        refused = list(validation.find_refused(self._settings, self._home / configuration.ETC))
        if refused:
            self._say(f"the effective configuration cannot be used, so it is written again: {'; '.join(refused)}")
            try:
                changes = validation.require_sources(self._settings)
                validation.require_effective(self._settings, components, changes)
                configuration.apply(self._settings, components)
            except ConfigError as error:
                self._say(f"that is not possible either: {'; '.join(error.problems)}")
        configuration.write_supervisord(self._settings, components)

    def _require_ports(self, components: list[Component]) -> None:
        names = [name for component in components for name in (component.port, *component.extra_ports)]
        ports.require_free(self._settings.ports, names)

    def _apply(self, components: list[Component], changes: generation.Changes) -> None:
        generation.write(self._settings.configuration, changes)
        if changes.paths:
            self._say(f"generated {', '.join(map(str, changes.paths))}")
        if short := find_short_retention(self._settings):
            self._say(f"warning: {short}")
        configuration.apply(self._settings, components)

    def _environment(self) -> dict[str, str]:
        inherited = {**os.environ, **self._settings.environment, "PYTHONUNBUFFERED": "1"}
        return strays.mark(inherited, strays.SUPERVISORD, self._home)

    def _start(self, components: list[Component], *, demo: bool, resume: bool) -> records.Running:
        running = records.Running("native", demo, watch(components, self._settings))
        records.save_running(self._home, running)  # so that `status` and the guardian know it from the first moment
        self._supervisor.launch(self._environment())
        outcome = ", and is tried again" if resume else ", so the stack was stopped again"
        for wave in sorted({component.wave for component in components}):
            try:
                self._start_wave([component for component in components if component.wave == wave], outcome=outcome)
            except StackError as error:
                if not resume:
                    raise
                self._say(str(error))
        down, others = health.wait_targets_up(self._settings.url("prometheus"), running.components, _TARGETS_SECONDS)
        if down and not resume:
            raise UnhealthyError(f"Prometheus cannot scrape {'; '.join(down)}")
        for target in [*down, *others]:
            self._say(f"warning: a target is down, and the stack runs without it: {target}")
        return running

    def _start_wave(self, components: list[Component], *, outcome: str) -> None:
        for component in components:
            self._supervisor.start(component.name)
        unhealthy = health.wait_healthy(watch(components, self._settings), _WAVE_SECONDS, self._gave_up)
        if unhealthy:
            name = next(filter(self._gave_up, unhealthy), unhealthy[0])  # the culprit before those it kept waiting
            log = read_log_tail(self._home / "logs" / f"{name}.log", _LOG_LINES)
            what = "does not stay up" if self._gave_up(name) else f"was not healthy within {_WAVE_SECONDS:.0f} s"
            raise UnhealthyError(f"{name} {what}{outcome}; the end of its log:\n{log}")

    def _gave_up(self, name: str) -> bool:
        state = self._supervisor.processes().get(name, {}).get("statename")
        # Data that was moved aside is a reason to start once more; the end that showed it may have come twice.
        moved = sum(f" {name}: " in note for note in records.load_notes(self._home))
        return state == "FATAL" or records.load_restarts(self._home).get(name, 0) > 1 + 2 * moved

    def reload(self) -> None:
        """Apply what changed in the configuration or in `secrets/` since the start.

        Prometheus and Alertmanager read theirs again only when it changed; exporter, analyzer and Grafana look at
        their files by themselves.

        Raises:
            ConfigError: the configuration is wrong; nothing was changed.
            UnhealthyError: a component refused what it read.
        """
        running = self.find_running()
        if running is None:
            return
        self._settings = replace(self._settings, scale=running.has_store)
        changes = validation.require_sources(self._settings)
        binaries = find_binaries(self._settings, self._say)
        components = build_components(self._settings, binaries, demo=running.demo)
        validation.require_effective(self._settings, components, changes)
        self._apply(components, changes)
        # Against what was loaded, not against what was on the disk before: an `up` that was interrupted is made good.
        loaded, present = records.load_loaded(self._home), configuration.digest_loaded_files(self._home)
        for component in running.components:
            if loaded.get(component.name) != present.get(component.name):
                self._reload_component(component)
        records.save_loaded(self._home, present)

    def _reload_component(self, component: records.Watched) -> None:
        self._say(f"the configuration of {component.name} has changed: reloading it")
        before = health.read_last_reload(component)
        self._supervisor.reload(component.name)
        if not health.wait_reloaded(component, before, _RELOAD_SECONDS):
            log = read_log_tail(self._home / "logs" / f"{component.name}.log", _LOG_LINES)
            raise UnhealthyError(f"{component.name} did not take its new configuration; the end of its log:\n{log}")

    def down(self) -> None:
        """Stop everything and wait until it is gone, also what no supervisor looks after. What was measured stays."""
        records.mark_stopping(self._home)
        pid = self._supervisor.pid()
        children = psutil.Process(pid).children(recursive=True) if pid else []
        self._supervisor.shutdown()
        processes = [*children, *([psutil.Process(pid)] if pid and psutil.pid_exists(pid) else [])]
        _, alive = psutil.wait_procs(processes, timeout=_STOP_SECONDS)
        for process in alive:
            process.kill()
        strays.end(self._home)
        records.forget_running(self._home)
        (self._home / "run" / "supervisord.pid").unlink(missing_ok=True)  # one that was killed has left it
        remove_socket(self._home)

    def status(self) -> list[ComponentStatus]:
        """Return one row for each component.

        Raises:
            NotRunningError: when no native stack runs here.
        """
        running = self.find_running()
        if running is None:
            raise NotRunningError(f"no stack runs in {self._home}: `perfloop up` starts one")
        processes = self._supervisor.ask_processes()
        if processes is None:
            left = set(strays.find_strays(self._home).values())
            processes = {name: {"statename": condition.UNSUPERVISED} for name in left}
        restarts = records.load_restarts(self._home)
        unhealthy = health.find_unhealthy(running.components)
        return [
            _row(component, processes.get(component.name, {}), restarts.get(component.name, 0), unhealthy)
            for component in running.components
        ]

    def find_troubles(self) -> list[str]:
        """Return one sentence for each thing that is wrong with the stack as a whole."""
        return condition.find_troubles(self._home, self._supervisor.ask_processes())

    def read_log(self, name: str) -> str:
        """Return the end of a component's log."""
        return read_log_tail(self._home / "logs" / f"{name}.log", _READ_LINES)

    def log_files(self) -> Mapping[str, Path]:
        """Return each component's log file by name."""
        running = self.find_running()
        names = [component.name for component in running.components] if running else []
        return {name: self._home / "logs" / f"{name}.log" for name in [*names, "supervisord", GUARDIAN]}


def _row(
    component: records.Watched, process: Mapping[str, object], restarts: int, unhealthy: Collection[str]
) -> ComponentStatus:
    state = str(process.get("statename", "STOPPED")).lower()
    start = process.get("start")
    since = datetime.fromtimestamp(int(str(start)), UTC).isoformat() if state == "running" and start else ""
    return ComponentStatus(component.name, state, component.name not in unhealthy, component.url, restarts, since)


def follow(path: Path, *, lines: int, follow_on: bool) -> None:
    """Write the end of a log to standard output, and go on as it grows when asked to.

    Raises:
        NotRunningError: when there is no such log.
    """
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise NotRunningError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        show_lines(deque(file, maxlen=max(lines, 0)))
        rest = ""
        while follow_on:
            whole, newline, rest = (rest + file.read()).rpartition("\n")
            show_lines(whole.split("\n") if newline else ())
            time.sleep(0.2)
