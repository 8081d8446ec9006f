"""A native stack of a test's own: its home, its ports, and what the tests do to its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from perfloop.stack import records, strays
from perfloop_base.home import DEFAULT_PORTS, port_variable
from perfloop_base.processes import find_process
from tests.support.free_ports import find_free_ports

if TYPE_CHECKING:
    from collections.abc import Callable


PERFLOOP = Path(sys.executable).with_name("perfloop")  # the command as people run it, not a module of it


class Stack:
    """The `perfloop` command with a home and ports of its own."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.ports = dict(zip(DEFAULT_PORTS, find_free_ports(len(DEFAULT_PORTS)), strict=True))
        variables = {port_variable(name): str(port) for name, port in self.ports.items()}
        # A Docker stack of this checkout, should one run, is none of this test's business.
        self.environment = {
            **os.environ,
            **variables,
            "PERFLOOP_HOME": str(home),
            "DOCKER_HOST": f"unix://{home}/no-engine",
            **environment,
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start one command and do not wait for it."""
        command = [str(PERFLOOP), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env={**self.environment, **environment}, text=True, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run one command; return its exit code, output and errors."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=200)
            return process.returncode, out, err

    def up(self) -> str:
        """Start the stack without the demo, and return what `up` said."""
        code, _, err = self.run("up", "--native", "--no-demo")
        assert code == 0, err
        return err

    def status(self) -> dict[str, Any]:
        """Return `perfloop status --json`."""
        _, out, err = self.run("status", "--json")
        assert out, err
        found: dict[str, Any] = json.loads(out)
        return found

    def components(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `perfloop status --json` by component."""
        return {component["name"]: component for component in self.status()["parts"]}

    def is_healthy(self) -> bool:
        """Return whether `perfloop status` ends with 0."""
        return self.run("status")[0] == 0

    def url(self, name: str, path: str = "") -> str:
        """Return an address of a component."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def process(self, name: str) -> psutil.Process:
        """Return the process of a component, as the guardian has recorded it."""
        found = wait_for_value(lambda: find_process(records.load_pids(self.home).get(name, "")))
        assert isinstance(found, psutil.Process)
        return found

    def supervisord(self) -> psutil.Process:
        """Return the supervisord that runs now."""
        return psutil.Process(int((self.home / "run" / "supervisord.pid").read_text()))

    def log(self, name: str) -> str:
        """Return a component's log."""
        path = self.home / "logs" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def messages(self, **filters: str) -> list[dict[str, Any]]:
        """Return the messages in the inbox, or nothing while it does not answer."""
        try:
            found: list[dict[str, Any]] = httpx.get(self.url("inbox", "/api/messages"), params=filters).json()
        except (httpx.HTTPError, ValueError):
            return []
        return found

    def clear(self) -> None:
        """Stop the stack; whatever a failed test left is gone."""
        self.run("down")
        strays.end(self.home)


def wait(condition: Callable[[], bool], seconds: float, what: str = "it") -> float:
    """Wait until the condition holds; return how long that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.1)
    return time.monotonic() - start


def wait_for_value(probe: Callable[[], object], seconds: float = 15) -> object:
    """Return the first true answer of `probe`."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, "there is none"
        time.sleep(0.05)
    return found
