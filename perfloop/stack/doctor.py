"""What can be wrong with a stack, looked at one thing at a time."""

from __future__ import annotations

import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack import disk, health, ports, programs, records, validation
from perfloop.stack.docker import DockerStack
from perfloop.stack.errors import StackError
from perfloop.stack.native import NativeStack
from perfloop.stack.send_test import send_test as deliver
from perfloop.stack.settings import Settings, port_variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PYTHON = (3, 11)
_RULES_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Result:
    """One thing looked at: what, whether it is well, and one sentence."""

    subject: str
    ok: bool
    finding: str


def _python(_: Settings) -> Iterator[Result]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Result("python", sys.version_info >= _PYTHON, f"{version} (3.11 or later is needed)")


def _disk(settings: Settings) -> Iterator[Result]:
    free = disk.free_bytes(settings.home)
    finding = f"{free / 1e9:.1f} GB free in {disk.find_mounted(settings.home)} (1 GB is needed)"
    yield Result("disk", free > disk.COMFORTABLE_BYTES, finding)


def _programs(settings: Settings) -> Iterator[Result]:
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        path = programs.find(name, settings.home)
        yield Result(name, path is not None, str(path or "absent: `perfloop up` or `make tools` fetches it"))
    grafana = programs.find_grafana(settings.home)
    yield Result("grafana", ok=True, finding=str(grafana or "absent: native mode runs without dashboards"))


def _docker(settings: Settings) -> Iterator[Result]:
    yield Result("docker", ok=True, finding=DockerStack(settings.checkout).availability().reason)


def _configuration(settings: Settings) -> Iterator[Result]:
    problems = [*validation.find_broken_files(settings.checkout), *validation.find_invalid_configuration(settings)]
    for problem in problems:
        yield Result("configuration", ok=False, finding=problem)
    if not problems:
        yield Result("configuration", ok=True, finding="every file is valid")


def _secrets(settings: Settings) -> Iterator[Result]:
    for path in sorted((settings.checkout / "secrets").glob("*")):
        if path.name == "README.md" or not path.is_file():
            continue
        open_to_all = bool(path.stat().st_mode & stat.S_IROTH)
        finding = "readable by every user: `chmod 600` it" if open_to_all else "used instead of the inbox"
        yield Result(f"secrets/{path.name}", not open_to_all, finding)


def _ports(settings: Settings) -> Iterator[Result]:
    for name, port in settings.ports.items():
        if not ports.is_free(port):
            yield Result(
                f"port {port}",
                ok=False,
                finding=f"taken by {ports.find_holder(port)}: move it by {port_variable(name)}",
            )


def _running(settings: Settings) -> Iterator[Result]:
    for row in NativeStack(settings).status():
        finding = f"{row.state}, {'healthy' if row.healthy else 'not healthy'}, {row.restarts} restarts"
        yield Result(row.name, row.healthy, finding)
    down = health.find_targets_down(f"http://127.0.0.1:{settings.ports['prometheus']}")
    yield Result("targets", not down, "; ".join(down) or "every target is up")


def _rules(settings: Settings) -> Iterator[Result]:
    """Hold every rule against the series that the running Prometheus has.

    Without the demo there may be no service yet whose series the rules wait for: then it is told, but nothing is wrong.
    """
    running = records.load_running(settings.home)
    url = f"http://127.0.0.1:{settings.ports['prometheus']}"
    command = [sys.executable, str(settings.checkout / "prometheus" / "build.py"), "--live", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_RULES_SECONDS, check=False)  # noqa: S603 - our own program
    for sentence in done.stderr.splitlines():
        yield Result("rules", ok=running is None or not running.demo, finding=sentence)
    if not done.stderr:
        yield Result("rules", ok=True, finding="every rule selects what it should")


def examine(settings: Settings) -> list[Result]:
    """Look at everything that a native stack needs; at its parts when it runs, at its ports when it does not."""
    looks: list[Callable[[Settings], Iterator[Result]]] = [_python, _disk, _programs, _docker, _secrets]
    looks += [_configuration, *((_running, _rules) if records.load_running(settings.home) else (_ports,))]
    return [result for look in looks for result in look(settings)]


def send_test(settings: Settings) -> list[Result]:
    """Send one test notification through every channel and report what came back."""
    try:
        answers = deliver(
            alertmanager_url=f"http://127.0.0.1:{settings.ports['alertmanager']}",
            inbox_url=f"http://127.0.0.1:{settings.ports['inbox']}",
            secrets_dir=Path(settings.checkout / "secrets"),
        )
    except StackError as error:
        return [Result("test notification", ok=False, finding=str(error))]
    return [Result(f"test to {answer.channel}", answer.delivered, answer.finding) for answer in answers]
