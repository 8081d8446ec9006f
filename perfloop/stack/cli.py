"""`perfloop up`, `down`, `status`, `logs`, `doctor`: the stack by hand."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from perfloop.stack import disk, records
from perfloop.stack import doctor as checks
from perfloop.stack.configuration import analyzer_token_file, grafana_password_file
from perfloop.stack.docker import DockerStack
from perfloop.stack.errors import ExitCode, NotRunningError, SettingsError, StackError
from perfloop.stack.native import NativeStack, PartStatus, follow
from perfloop.stack.programs import CHECKOUT
from perfloop.stack.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The performance loop: export, alert, load-test, analyze, recommend, validate.",
    epilog="perfloop exporter|analyzer|loadgen --help: the programs of the loop.",
)
# What each page is for, in the order in which a newcomer should look.
_PAGES = {
    "grafana": "dashboards",
    "analyzer": "health, findings, recommendations",
    "inbox": "the notifications that were sent",
    "prometheus": "queries, targets, rules",
    "alertmanager": "alerts, silences",
    "demo": "the service that is watched; switch its faults on here",
    "exporter": "metrics of this machine",
    "loadgen": "the load test that runs",
}


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _settings() -> Settings:
    return read_settings(CHECKOUT, os.environ)


def _docker(settings: Settings) -> DockerStack:
    return DockerStack(settings.checkout, {**settings.environment, **os.environ})


def _runs_in_docker(settings: Settings) -> bool:
    return DockerStack.exists() and _docker(settings).running()


def _choose_docker(settings: Settings, *, docker: bool, native: bool) -> bool:
    """Decide the mode and say in one line which and why."""
    if docker and native:
        message = "--docker and --native exclude each other: give one"
        raise SettingsError(message)
    if native:
        _say("mode: native, as asked")
        return False
    availability = _docker(settings).availability()
    if docker or availability.usable:
        _say(f"mode: docker, {'as asked' if docker else availability.reason}")
        return True
    _say(f"mode: native, {availability.reason}")
    return False


def _print_pages(urls: dict[str, str]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, purpose in _PAGES.items():
        if name in urls:
            table.add_row(name, urls[name], purpose)
    Console(width=120).print(table)


def _print_secrets(settings: Settings, *, grafana: bool) -> None:
    sys.stdout.write(
        f"The analyzer's token, for accepting recommendations, is in {analyzer_token_file(settings.home)}\n"
    )
    _print_grafana(settings, present=grafana)


def _print_grafana(settings: Settings, *, present: bool) -> None:
    if present:
        sys.stdout.write(f"Grafana's user is admin, its password is in {grafana_password_file(settings.home)}\n")
        return
    sys.stdout.write(
        "Grafana could not be had: it is not on PATH and its release could not be downloaded. The rest runs.\n"
        "To have the dashboards too: install Grafana (https://grafana.com/grafana/download), then "
        "`perfloop down` and `perfloop up`.\n"
    )


def _up_native(settings: Settings, *, demo: bool) -> None:
    stack = NativeStack(settings, _say)
    if stack.is_running():
        running = records.load_running(settings.home)
        if running is not None and running.demo != demo:
            message = f"the stack runs {'with' if running.demo else 'without'} the demo: `perfloop down` first"
            raise SettingsError(message)
        stack.reload()
        _say("the stack is already running")
        parts = running.parts if running else ()
    else:
        parts = stack.up(demo=demo).parts
    _print_pages({part.name: part.url for part in parts})
    _print_secrets(settings, grafana=any(part.name == "grafana" for part in parts))


def _up_docker(settings: Settings, *, demo: bool) -> None:
    parts = _docker(settings).up(demo=demo)
    _print_pages({part.name: part.url for part in parts})
    if any(part.name == "grafana" for part in parts):
        sys.stdout.write("Grafana's user is admin; `docker compose exec grafana cat /run/perfloop/admin-password`\n")


@app.command()
def up(
    *,
    docker: Annotated[bool, typer.Option("--docker", help="Run in containers.")] = False,
    native: Annotated[bool, typer.Option("--native", help="Run as processes of this machine.")] = False,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Watch the demo service and its steady load.")] = True,
    resume: Annotated[bool, typer.Option("--resume", hidden=True)] = False,
) -> None:
    """Start the whole stack, wait until all is healthy, and print every URL."""
    settings = _settings()
    with records.exclusive(settings.home, ("perfloop up",)):
        if NativeStack(settings).is_running() and not docker:
            _up_native(settings, demo=demo)
        elif not resume and _choose_docker(settings, docker=docker, native=native):
            _up_docker(settings, demo=demo)
        else:
            _up_native(settings, demo=demo)


@app.command()
def down() -> None:
    """Stop the whole stack; what was measured stays on disk."""
    settings = _settings()
    with records.exclusive(settings.home, ("perfloop down",)):
        stack = NativeStack(settings)
        native = stack.is_running() or records.load_running(settings.home) is not None
        if native:
            stack.down()
        docker = _runs_in_docker(settings)
        if docker:
            _docker(settings).down()
    _say("the stack is stopped" if native or docker else "no stack was running")


def _rows(settings: Settings) -> tuple[str, Iterable[PartStatus]]:
    if records.load_running(settings.home) is not None:
        return "native", NativeStack(settings).status()
    if _runs_in_docker(settings):
        return "docker", [PartStatus(**asdict(part)) for part in _docker(settings).status()]
    message = f"no stack runs in {settings.home}: `perfloop up` starts one"
    raise NotRunningError(message)


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False) -> None:
    """Show each part: its state, whether it is healthy, how often it came back."""
    settings = _settings()
    mode, found = _rows(settings)
    rows = list(found)
    trouble = disk.find_trouble(settings.home) if mode == "native" else None
    if as_json:
        shown = {"mode": mode, "parts": [asdict(row) for row in rows], "trouble": trouble}
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        table = Table("part", "state", "healthy", "restarts", "since", "url", box=None, padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(row.name, row.state, "yes" if row.healthy else "no", str(row.restarts), row.since, row.url)
        Console(width=120).print(table)
    if trouble:
        _say(f"perfloop: {trouble}")
    if trouble or not all(row.healthy for row in rows):
        raise typer.Exit(ExitCode.UNHEALTHY)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A part, as `perfloop status` names it.")],
    *,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the log grows.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines from the end.")] = 100,
) -> None:
    """Show the log of one part."""
    settings = _settings()
    if records.load_running(settings.home) is None and _runs_in_docker(settings):
        _docker(settings).logs(name, follow=follow_on, tail=lines)
        return
    files = NativeStack(settings).log_files()
    if name not in files:
        message = f"{name!r} is no part of this stack: it has {', '.join(files)}"
        raise NotRunningError(message)
    follow(files[name], lines=lines, follow_on=follow_on)


@app.command()
def doctor(
    *,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send one test notification through every channel.")
    ] = False,
) -> None:
    """Check what the stack needs and, when it runs, that every part does its work."""
    settings = _settings()
    results = checks.examine(settings)
    if send_test:
        results += checks.send_test(settings)
    for result in results:
        sys.stdout.write(f"{'ok  ' if result.ok else 'FAIL'} {result.subject}: {result.finding}\n")
    if not all(result.ok for result in results):
        raise typer.Exit(ExitCode.FAILED)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _tell(error: BaseException) -> ExitCode:
    """Say in one sentence what ended a command; what nobody foresaw keeps its traceback."""
    if isinstance(error, StackError):
        _say(f"perfloop: {error}")
        return error.code
    if isinstance(error, OSError):  # a disk that is full, a folder that may not be written
        _say(f"perfloop: {error.filename or 'the system'}: {error.strerror or error}")
        return ExitCode.FAILED
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _say("perfloop: interrupted")
        return ExitCode.FAILED
    if hasattr(error, "format_message"):  # typer's own: wrong use of the command line
        _say(f"perfloop: {error.format_message()}")
        return ExitCode.USAGE
    raise error


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that a start that is stopped half way takes back what it started
    try:
        app(argv, standalone_mode=False, prog_name="perfloop")
    except typer.Exit as end:
        return end.exit_code
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one edge; what is not ours is raised again
        return int(_tell(error))
    return int(ExitCode.OK)
