"""The demo's programs, started as a person starts them: a subprocess on free ports."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import httpx
import pytest

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A busy machine has taken twenty seconds to start an interpreter and its libraries.
_START_SECONDS = 90
_STOP_SECONDS = 30
_LISTENING = re.compile(r"listening on (http://\S+)")


@dataclass
class Program:
    """A running demo program."""

    process: subprocess.Popen[bytes]
    log_path: Path
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def log(self) -> str:
        """Everything the program has said so far."""
        return self.log_path.read_text()

    def stop(self) -> int:
        """Ask it to end and return its exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def wait_for(probe: Callable[[], T], what: str, seconds: float = _START_SECONDS) -> T:
    """Return the first true answer of `probe`, or fail saying what was waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = probe()
        if answer:
            return answer
        time.sleep(0.05)
    pytest.fail(f"waited {seconds:g} s in vain for {what}")


@contextmanager
def run_program(module: str, flags: list[str], folder: Path, env: dict[str, str] | None = None) -> Iterator[Program]:
    """Start a program with its log in `folder`, wait until it listens, and stop it at the end."""
    log_path = folder / f"{module}.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", module, *flags]
        process = subprocess.Popen(command, stderr=log, stdout=log, env=env)
    program = Program(process, log_path)
    try:
        found = wait_for(lambda: _LISTENING.search(program.log) or process.poll() is not None, f"{module} to listen")
        assert isinstance(found, re.Match), program.log
        program.client.base_url = httpx.URL(found[1])
        yield program
    finally:
        program.stop()
