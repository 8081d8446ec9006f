"""One Compose project on a real engine, and the questions that tests ask of it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from perfloop.stack.docker import DockerStack
from perfloop.stack.docker_engine import Engine
from perfloop.stack.errors import DockerError
from perfloop.stack.settings import read_settings
from perfloop_base.home import DEFAULT_PORTS, port_variable

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = f"perfloop-test:{os.getpid()}"  # two runs at once must not take each other's image


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class Running:
    """One project of its own: its environment, its ports, and the questions that tests ask of it."""

    def __init__(self, clone: Path, images: dict[str, str], home: Path) -> None:
        self.clone = clone
        self.ports = dict(zip(DEFAULT_PORTS, _free_ports(len(DEFAULT_PORTS)), strict=True))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PERFLOOP_", "COMPOSE_"))}
        moved = {port_variable(name): str(port) for name, port in self.ports.items()}
        self.project = f"perfloop-test-{home.name}-{os.getpid()}".lower()
        own = {"PERFLOOP_HOME": str(home), "PERFLOOP_IMAGE": IMAGE, "COMPOSE_PROJECT_NAME": self.project}
        self.env = {**clean, **images, **moved, **own}
        self.docker = DockerStack(read_settings(clone, self.env), self.env)
        self.engine = Engine(clone, self.env)

    def compose(self, *words: str) -> str:
        """Run Compose as a person would, in the clone."""
        return self.engine.compose(*words, timeout=600)

    def start(self) -> None:
        """Start everything by Compose's own `up`; where that fails, fail with what the containers say."""
        try:
            self.compose("up", "--detach")
        except DockerError as error:
            pytest.fail(f"{error}\n{self.compose('ps')}{self.compose('logs', '--no-color', '--tail=15')}")
        self.wait_healthy()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one `perfloop` command as a person would, through its own entry point."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "perfloop", *words],
            cwd=self.clone,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def url(self, name: str, path: str = "") -> str:
        """Return the address of a component on the host."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, name: str, path: str, **params: str) -> Any:
        """Return the JSON that a component answers."""
        return httpx.get(self.url(name, path), params=params, timeout=10).raise_for_status().json()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query."""
        return list(self.get("prometheus", "/api/v1/query", query=expression)["data"]["result"])

    def container(self, name: str) -> dict[str, Any]:
        """Return what the engine knows of a component's container."""
        by_name = {c["Config"]["Labels"]["com.docker.compose.service"]: c for c in self.engine.containers()}
        return by_name[name]

    def wait_healthy(self) -> None:
        """Wait until every component is healthy; else fail with what the others say."""
        deadline = time.monotonic() + 90
        while ill := [row.name for row in self.docker.status() if not row.healthy]:
            if time.monotonic() > deadline:
                pytest.fail(self.compose("ps") + self.compose("logs", "--no-color", "--tail=30", *ill))
            time.sleep(0.5)
