"""`perfloop init`, `up`, `down`, `status`, `logs`, `doctor`, `generate`: what each does with its flags."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from perfloop.extras import find_missing
from perfloop.stack import doctor as checks
from perfloop.stack import generation, records, strays
from perfloop.stack.configuration import analyzer_token_file, grafana_password_file
from perfloop.stack.docker import DockerStack
from perfloop.stack.errors import NotRunningError, ProgramError, SettingsError
from perfloop.stack.initialization import write_copy
from perfloop.stack.native import NativeStack, follow
from perfloop.stack.remote_state import RemoteState, look
from perfloop.stack.settings import Settings, current_settings
from perfloop_base.errors import ExitCode
from perfloop_base.home import make_private
from perfloop_base.redaction import redact_mapping
from perfloop_base.terminal import show, shown, warn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from perfloop.stack.components import ComponentStatus

_GUARDIAN_SECONDS = 120.0
_POLL_SECONDS = 0.2
# What each page is for, in the order in which a newcomer should look.
_PAGES = {
    "grafana": "dashboards",
    "analyzer": "health, findings, recommendations",
    "inbox": "the notifications that were sent; alerts and silences",
    "prometheus": "queries, targets, rules",
    "prometheus_2": "the second of the pair: the same",
    "victoriametrics": "the long-term store that both write to (vmui: /vmui)",
    "vmselect": "the long-term store that both write to (vmui: /select/0/vmui)",
    "alertmanager": "routes alerts; its pages are in the inbox (Debian's build has none)",
    "demo": "the service that is watched; switch its faults on here",
    "exporter": "metrics of this machine",
    "loadgen": "the load test that runs",
}


def _say(text: str) -> None:
    warn(text)


def _docker(settings: Settings) -> DockerStack:
    return DockerStack(settings, {**settings.environment, **os.environ}, _say)


def _runs_in_docker(settings: Settings) -> bool:
    return DockerStack.exists() and _docker(settings).running()


def _choose_docker(settings: Settings, *, docker: bool, native: bool) -> bool:
    """Decide the mode and say in one line which and why."""
    if native:
        _say("mode: native, as asked")
        return False
    availability = _docker(settings).availability()
    if docker or availability.usable:
        _say(f"mode: docker, {'as asked' if docker else availability.reason}")
        return True
    _say(f"mode: native, {availability.reason}")
    return False


def _print_pages(urls: Mapping[str, str]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, purpose in _PAGES.items():
        if name in urls:
            table.add_row(name, Text(shown(urls[name])), purpose)
    Console(width=120).print(table)


def _print_secrets(settings: Settings, *, grafana: bool) -> None:
    token = analyzer_token_file(settings.home)
    show(f"The analyzer's token, for accepting recommendations, is in {token}")
    if grafana:
        show(f"Grafana's user is admin, its password is in {grafana_password_file(settings.home)}")
        return
    show(
        "Grafana was not found and could not be downloaded. The rest runs.\n"
        "To have the dashboards too: install Grafana (https://grafana.com/grafana/download), then "
        "`perfloop down` and `perfloop up`."
    )


def _require_programs(*, demo: bool) -> None:
    """Raise ProgramError where a program that the stack starts lacks a library: it would only be restarted for ever."""
    missing = find_missing("analyzer", "inbox", *(("demo", "loadgen") if demo else ()))
    if missing:
        hint = "; `perfloop up --no-demo` leaves the demo out" if not {"analyzer", "inbox"} & {*missing} else ""
        names = ",".join(missing)
        raise ProgramError(f"not everything is installed: `pip install 'perfloop[{names}]'` installs the rest{hint}")


def _up_native(settings: Settings, *, demo: bool, resume: bool) -> None:
    _require_programs(demo=demo)
    stack = NativeStack(settings, _say)
    if stack.is_running():
        running = stack.find_running()
        if running is not None and running.demo != demo:
            word = "with" if running.demo else "without"
            raise SettingsError(f"the stack runs {word} the demo: `perfloop down` first")
        if running is not None and settings.scale and not running.has_store:
            raise SettingsError("the stack runs without a long-term store: `perfloop down` first")
        stack.reload()
        _say("the stack is already running")
        components = running.components if running else ()
    else:
        components = stack.up(demo=demo, resume=resume).components
    _print_pages({component.name: component.url for component in components})
    _print_secrets(settings, grafana=any(component.name == "grafana" for component in components))


def _up_docker(settings: Settings, *, demo: bool) -> None:
    # A store that runs stays, natively and here, until `perfloop down`.
    settings = replace(settings, scale=settings.scale or _docker(settings).has_store())
    components = _docker(settings).up(demo=demo)
    _print_pages({component.name: component.url for component in components})
    show(f"The analyzer's token, for accepting recommendations, is in {analyzer_token_file(settings.home)}")
    if any(component.name == "grafana" for component in components):
        show("Grafana's user is admin; `docker compose exec grafana cat /run/perfloop/admin-password`")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _wait_for_guardian(settings: Settings) -> None:
    """Where a guardian brings the stack back at this moment, let it: a person's command comes after it."""
    deadline = time.monotonic() + _GUARDIAN_SECONDS
    waiting = False
    while strays.is_resumption(records.find_lock_holder(settings.home) or "", settings.home):
        if not waiting:
            _say("the guardian is bringing the stack back: waiting for it")
            waiting = True
        if time.monotonic() > deadline:
            strays.end(settings.home, [strays.RESUMPTION, strays.GUARDIAN])
            return
        time.sleep(_POLL_SECONDS)


def up(options: argparse.Namespace) -> ExitCode:
    """Start the whole stack, or apply what changed, and print every URL."""
    # A start that is stopped half way takes back what it started.
    signal.signal(signal.SIGTERM, _interrupt)
    settings = current_settings()
    settings = replace(settings, scale=settings.scale or options.scale)
    _wait_for_guardian(settings)
    with records.exclusive(settings.home, ("perfloop up",)):
        make_private(settings.home)
        if NativeStack(settings).is_running() and not options.docker:
            _up_native(settings, demo=options.demo, resume=False)
        elif not options.resume and _choose_docker(settings, docker=options.docker, native=options.native):
            _up_docker(settings, demo=options.demo)
        else:
            _up_native(settings, demo=options.demo, resume=options.resume)
    return ExitCode.OK


def down(_: argparse.Namespace) -> ExitCode:
    """Stop the whole stack."""
    settings = current_settings()
    holder = records.find_lock_holder(settings.home)
    if holder and strays.is_resumption(holder, settings.home):
        records.mark_stopping(settings.home)
        strays.end(settings.home, [strays.RESUMPTION])
    with records.exclusive(settings.home, ("perfloop down",)):
        stack = NativeStack(settings)
        native = stack.is_running() or stack.find_running() is not None or bool(strays.find_strays(settings.home))
        if native:
            stack.down()
        docker = _runs_in_docker(settings)
        if docker:
            _docker(settings).down()
    _say("the stack is stopped" if native or docker else "no stack was running")
    return ExitCode.OK


def _rows(settings: Settings) -> tuple[str, Sequence[ComponentStatus]]:
    if NativeStack(settings).find_running() is not None:
        return "native", NativeStack(settings).status()
    if _runs_in_docker(settings):
        return "docker", _docker(settings).status()
    raise NotRunningError(f"no stack runs in {settings.home}: `perfloop up` starts one")


def _remote_state(settings: Settings, mode: str) -> RemoteState:
    """Return whether samples reach the stores that the running stack writes to."""
    if mode == "native":
        native = NativeStack(settings)
        running = native.find_running()
        urls = {component.name: component.url for component in running.components} if running else {}
        return look(urls.get("prometheus", settings.url("prometheus")), lambda: native.read_log("prometheus"))
    return look(settings.url("prometheus"), lambda: _docker(settings).read_log("prometheus"))


def status(options: argparse.Namespace) -> ExitCode:
    """Show each component: its state, whether it is healthy, how often it was restarted."""
    settings = current_settings()
    mode, rows = _rows(settings)
    troubles = NativeStack(settings).find_troubles() if mode == "native" else []
    troubles += _remote_state(settings, mode).troubles
    notes = records.load_notes(settings.home) if mode == "native" else []
    if options.as_json:
        facts = {
            "mode": mode,
            "parts": [asdict(row) for row in rows],
            "trouble": "; ".join(troubles) or None,
            "notes": notes,
        }
        show(json.dumps(redact_mapping(facts), indent=2))
    else:
        table = Table("component", "state", "healthy", "restarts", "since", "url", box=None, padding=(0, 2, 0, 0))
        for row in rows:
            # As Text, not as markup: what a name or an answer holds in brackets is no style.
            cells = (row.name, row.state, "yes" if row.healthy else "no", row.restarts, row.since, row.url)
            table.add_row(*(Text(shown(cell)) for cell in cells))
        Console(width=120).print(table)
    for sentence in [*troubles, *notes]:
        _say(f"perfloop: {sentence}")
    return ExitCode.UNHEALTHY if troubles or not all(row.healthy for row in rows) else ExitCode.OK


def logs(options: argparse.Namespace) -> ExitCode:
    """Show the log of one component."""
    settings = current_settings()
    if NativeStack(settings).find_running() is None and _runs_in_docker(settings):
        _docker(settings).logs(options.name, follow=options.follow, tail=options.lines)
        return ExitCode.OK
    files = NativeStack(settings).log_files()
    if options.name not in files:
        raise NotRunningError(f"unknown component {options.name!r}: this stack has {', '.join(files)}")
    follow(files[options.name], lines=options.lines, follow_on=options.follow)
    return ExitCode.OK


def doctor(options: argparse.Namespace) -> ExitCode:
    """Check what the stack needs and, when it runs, that every component works with the present configuration."""
    settings = current_settings()
    native = NativeStack(settings).find_running() is not None
    docker = _docker(settings) if not native and _runs_in_docker(settings) else None
    results = checks.examine(settings, docker)
    if options.send_test:
        results += checks.send_test(settings)
    for result in results:
        show(f"{'ok  ' if result.ok else 'FAIL'} {result.subject}: {result.finding}")
    return ExitCode.OK if all(result.ok for result in results) else ExitCode.FAILED


def generate(options: argparse.Namespace) -> ExitCode:
    """Write every generated file that is stale; with `--check`, name it instead."""
    settings = current_settings()
    if not settings.is_editable:
        raise SettingsError("the configuration that came with the package is complete: `perfloop init DIR` copies it")
    changes = generation.find_changes(settings.configuration)
    if options.check:
        for path in changes.paths:
            _say(f"perfloop: {path} is stale: run `perfloop generate`")
        return ExitCode.FAILED if changes.paths else ExitCode.OK
    generation.write(settings.configuration, changes)
    for path in changes.paths:
        show(path)
    return ExitCode.OK


def init(options: argparse.Namespace) -> ExitCode:
    """Write an editable copy of the configuration and say what to do next."""
    target = Path(options.directory).expanduser()
    write_copy(target)
    show(
        f"The configuration is in {target}: thresholds in prometheus/thresholds.yml, objectives in\n"
        f"prometheus/slos.yml, rules of your own in prometheus/alerts/, services to watch in prometheus/targets/.\n"
        f"Next: `cd {target}` and `perfloop up`; again after each change."
    )
    return ExitCode.OK


COMMANDS: Mapping[str, Callable[[argparse.Namespace], ExitCode]] = {
    "init": init,
    "up": up,
    "down": down,
    "status": status,
    "logs": logs,
    "doctor": doctor,
    "generate": generate,
}
