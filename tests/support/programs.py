"""A program of the project, started as a user starts it: a subprocess on a free port, with a log of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A busy machine has taken twenty seconds to start an interpreter and its libraries.
_START_SECONDS = 90
_STOP_SECONDS = 30
_LISTENING = re.compile(r'(?:msg=listening address=|listening on https?://)([^\s"]+)')


@dataclass
class Program:
    """A running program, and a client of its HTTP server."""

    process: subprocess.Popen[bytes]
    log_path: Path
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def log(self) -> str:
        """Everything that the program has written so far."""
        return self.log_path.read_text()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def run_program(module: str, flags: list[str], directory: Path, env: dict[str, str] | None = None) -> Iterator[Program]:
    """Start a program with its log in `directory`, wait until it listens, and stop it at the end."""
    log_path = directory / f"{module}.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", module, *flags]
        process = subprocess.Popen(command, stderr=log, stdout=log, env=env)
    program = Program(process, log_path)
    try:
        found = wait_for(
            lambda: _LISTENING.search(program.log) or process.poll() is not None, f"{module} to listen", _START_SECONDS
        )
        assert isinstance(found, re.Match), program.log
        program.client.base_url = httpx.URL(f"http://{found[1]}")
        yield program
    finally:
        program.stop()
