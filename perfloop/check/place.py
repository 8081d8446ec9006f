"""Which stack is checked: the one of this directory, native or in containers, or what flags name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from perfloop.check.asking import Answer, read_answer
from perfloop.check.config import ADDRESSED
from perfloop.check.findings import NoStackError, UnansweredError
from perfloop.stack.docker import DockerStack
from perfloop.stack.errors import StackError
from perfloop.stack.native import NativeStack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop.check.config import CheckConfig
    from perfloop.stack.records import Running
    from perfloop.stack.settings import Settings

NATIVE, DOCKER, NAMED, NONE = "native", "docker", "addresses", "none"


@dataclass(frozen=True, slots=True)
class Place:
    """The stack that is checked.

    Attributes:
        mode: NATIVE, DOCKER, NAMED (by addresses on the command line alone) or NONE.
        settings: Of this directory; the ports are those of the running stack.
        urls: The address of each program that can be asked.
        problem: Why the programs of this directory's stack cannot be asked; empty where they can.
        docker: The stack in containers, where that is the one that runs.
    """

    mode: str
    settings: Settings
    urls: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    docker: DockerStack | None = None

    def url(self, program: str) -> str:
        """Return the address of a program.

        Raises:
            UnansweredError: None is known, with the reason.
        """
        if program in self.urls:
            return self.urls[program]
        if self.problem:
            raise (NoStackError if self.mode == NONE else UnansweredError)(self.problem)
        if self.mode == NAMED:
            raise UnansweredError(f"no address of {program} is given: --{program}.url is missing")
        raise UnansweredError(f"{program} is no part of this stack")

    @property
    def has_stack(self) -> bool:
        """Whether a stack of this directory runs, whose files and programs can be compared."""
        return self.mode in {NATIVE, DOCKER}


def find_place(settings: Settings, config: CheckConfig) -> Place:
    """Return the stack to check; nothing is started, and no problem is an error."""
    native, docker = NativeStack(settings).find_running(), _running_in_docker(settings)
    if native is not None and docker is not None:
        both = f"a native stack and one in containers run in {settings.home}: which one is meant is not known"
        return Place(NONE, settings, dict(config.urls), both)
    if native is not None:
        return _native(settings, native, config)
    if docker is not None:
        return _in_containers(settings, docker, config)
    if config.urls:
        return Place(NAMED, settings, dict(config.urls))
    return Place(NONE, settings, problem=_explain_none(settings.home))


def _explain_none(home: Path) -> str:
    try:
        os.listdir(home)  # noqa: PTH208 - whether it may be read is asked, and nothing of it is used
    except PermissionError:
        return f"{home} cannot be read by this user: whether a stack runs there is not known"
    except OSError:
        pass  # there is none
    return f"no stack runs in {home}"


def _running_in_docker(settings: Settings) -> DockerStack | None:
    if not DockerStack.exists():
        return None
    stack = DockerStack(settings, {**settings.environment, **os.environ})
    try:
        return stack if stack.running() else None
    except StackError:
        return None


def _in_containers(settings: Settings, docker: DockerStack, config: CheckConfig) -> Place:
    try:
        names = {row.name for row in docker.status()}
    except StackError as error:
        return Place(NONE, settings, dict(config.urls), str(error))
    urls = {name: settings.url(name) for name in ADDRESSED if name in names}
    return Place(DOCKER, settings, urls | dict(config.urls), docker=docker)


def _native(settings: Settings, running: Running, config: CheckConfig) -> Place:
    """Return the native stack at the addresses at which it was started, whatever the environment says now."""
    urls = {one.name: one.url for one in running.components if one.name in ADDRESSED}
    ports = {one.name: urlsplit(one.url).port or 0 for one in running.components if one.name in settings.ports}
    settings = replace(settings, ports={**settings.ports, **ports})
    problem = ""
    if "prometheus" in urls and not config.prometheus_url:
        problem = _find_stranger(urls["prometheus"], settings.home)
    return Place(NATIVE, settings, ({} if problem else urls) | dict(config.urls), problem)


class _Flags(Answer):
    data: dict[str, str]


def _find_stranger(url: str, home: Path) -> str:
    """Return why what answers is the Prometheus of another stack; nothing where it is ours, or does not answer."""
    try:
        data = read_answer(_Flags, "Prometheus", url, "/api/v1/status/flags").data.get("storage.tsdb.path", "")
    except UnansweredError:
        return ""
    try:
        ours = not data or Path(data).resolve() == (home / "prometheus").resolve()
    except OSError:
        ours = True
    return "" if ours else f"what answers at {url} is the Prometheus of another stack: its data is in {data}"
