"""What can be wrong with a stack, looked at one thing at a time."""

from __future__ import annotations

import stat
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfloop.stack import disk, health, ports, programs, remote_state, validation
from perfloop.stack.components import PROMETHEUS_PAIR
from perfloop.stack.configuration import ETC
from perfloop.stack.docker import DockerStack
from perfloop.stack.errors import StackError
from perfloop.stack.native import NativeStack
from perfloop.stack.remote_write import STORE
from perfloop.stack.retention import find_short_retention
from perfloop.stack.send_test import send_test as deliver
from perfloop.stack.usage import find_differences
from perfloop_base.errors import ConfigError
from perfloop_base.home import port_variable
from perfloop_base.quantities import quantity
from perfloop_rules.errors import UnreachableError
from perfloop_rules.live import read_live
from perfloop_rules.series import check_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from perfloop.stack.components import ComponentStatus
    from perfloop.stack.settings import Settings

_PYTHON = (3, 11)
_SCALE_PORTS = frozenset({PROMETHEUS_PAIR[1], STORE})


@dataclass(frozen=True, slots=True)
class Result:
    """One thing looked at: what, whether it is as it should be, and one sentence."""

    subject: str
    ok: bool
    finding: str


def _python(_: Settings) -> Iterator[Result]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Result("python", sys.version_info >= _PYTHON, f"{version} (3.11 or later is needed)")


def _disk(settings: Settings) -> Iterator[Result]:
    free = disk.free_bytes(settings.home)
    finding = f"{quantity(free, 'bytes')} free in {disk.find_existing(settings.home)} (1 GB is needed)"
    yield Result("disk", free > disk.COMFORTABLE_BYTES, finding)


def _programs(settings: Settings) -> Iterator[Result]:
    store = ("victoria-metrics",) if settings.scale else ()
    for name in ("prometheus", "promtool", "alertmanager", "amtool", *store):
        path = programs.find(name, settings.home)
        yield Result(name, path is not None, str(path or "absent: `perfloop up` or `make tools` fetches it"))
    grafana = programs.find_grafana(settings.home)
    yield Result("grafana", ok=True, finding=str(grafana or "absent: native mode runs without dashboards"))


def _docker(settings: Settings) -> Iterator[Result]:
    yield Result("docker", ok=True, finding=DockerStack(settings).availability().reason)


def _configuration(settings: Settings, broken: Iterable[str]) -> Iterator[Result]:
    problems = [*broken, *validation.find_refused(settings, settings.home / ETC)]
    for problem in problems:
        yield Result("configuration", ok=False, finding=problem)
    if not problems:
        yield Result("configuration", ok=True, finding=f"every file of {settings.configuration} is valid")
        short = find_short_retention(settings)
        finding = short or f"data is kept for {settings.retention_time}, as long as any rule looks back"
        yield Result("retention", not short, finding)


def _secrets(settings: Settings) -> Iterator[Result]:
    for path in sorted(settings.secrets.glob("*")):
        if path.name == "README.md" or not path.is_file():
            continue
        open_to_all = bool(path.stat().st_mode & stat.S_IROTH)
        finding = "readable by every user: `chmod 600` it" if open_to_all else "used instead of the inbox"
        yield Result(f"secrets/{path.name}", not open_to_all, finding)


def _ports(settings: Settings) -> Iterator[Result]:
    for name, port in settings.ports.items():
        if name in _SCALE_PORTS and not settings.scale:
            continue
        if not ports.is_free(port):
            yield Result(
                f"port {port}",
                ok=False,
                finding=f"taken by {ports.find_holder(port)}: move it by {port_variable(name)}",
            )


def _components(settings: Settings, rows: Iterable[ComponentStatus]) -> Iterator[Result]:
    for row in rows:
        finding = f"{row.state}, {'healthy' if row.healthy else 'not healthy'}, {row.restarts} restarts"
        yield Result(row.name, row.healthy, finding)
    down = health.find_targets_down(settings.url("prometheus"))
    yield Result("targets", not down, "; ".join(down) or "every target is up")


def _remote(settings: Settings, docker: DockerStack | None) -> Iterator[Result]:
    """Say whether samples reach the stores that Prometheus writes to, where it writes to one."""
    read_log = NativeStack(settings).read_log if docker is None else docker.read_log
    state = remote_state.look(settings.url("prometheus"), lambda: read_log("prometheus"))
    for trouble in state.troubles:
        yield Result("remote write", ok=False, finding=trouble)
    if state.facts and not state.troubles:
        yield Result("remote write", ok=True, finding=state.summary)


def _usage(settings: Settings, docker: DockerStack | None) -> Iterator[Result]:
    for found in find_differences(settings, docker):
        for problem in found.problems:
            yield Result(found.subject, ok=False, finding=f"{problem}: run `perfloop up`")
        if not found.problems:
            yield Result(found.subject, ok=True, finding=found.agreement)


def _series(settings: Settings, *, demo: bool) -> Iterator[Result]:
    """Check every rule against the series that the running Prometheus has.

    Without the demo there may be no service yet whose series the rules wait for: that is reported, but not a failure.
    """
    try:
        problems = check_live(settings.configuration / "prometheus", read_live(settings.url("prometheus"), time.time()))
    except ConfigError as error:
        problems = list(error.problems)
    except UnreachableError as error:
        yield Result("rules", ok=False, finding=str(error))
        return
    if problems and not demo:
        yield Result(
            "rules", ok=True, finding=f"{len(problems)} selectors wait for series that no service publishes yet"
        )
        return
    for sentence in problems:
        yield Result("rules", ok=False, finding=sentence)
    if not problems:
        yield Result("rules", ok=True, finding="every rule selects existing series")


def examine(settings: Settings, docker: DockerStack | None = None) -> list[Result]:
    """Look at everything that a stack needs; at its components when it runs, at its ports when it does not.

    Args:
        settings: where the stack lives and listens.
        docker: the stack in containers, where that is the one that runs.
    """
    looks: list[Callable[[Settings], Iterator[Result]]] = [_python, _disk, _programs, _docker, _secrets]
    broken, _ = validation.check_sources(settings)
    results = [result for look in looks for result in look(settings)] + list(_configuration(settings, broken))
    native = NativeStack(settings)
    if docker is None and native.find_running() is None:
        return [*results, *_ports(settings)]
    rows = native.status() if docker is None else docker.status()
    results += (
        [Result("stack", ok=False, finding=trouble) for trouble in native.find_troubles()] if docker is None else []
    )
    demo = any(row.name == "demo" for row in rows)
    results += _components(settings, rows)
    results += _remote(settings, docker)
    # With a file that cannot be read there is nothing to compare with.
    results += () if broken else _usage(settings, docker)
    return [*results, *_series(settings, demo=demo)]


def send_test(settings: Settings) -> list[Result]:
    """Send one test notification through every channel and report what came back."""
    try:
        answers = deliver(
            alertmanager_url=settings.url("alertmanager"),
            inbox_url=settings.url("inbox"),
            secrets_dir=settings.secrets,
        )
    except StackError as error:
        return [Result("test notification", ok=False, finding=str(error))]
    return [Result(f"test to {answer.channel}", answer.delivered, answer.finding) for answer in answers]
