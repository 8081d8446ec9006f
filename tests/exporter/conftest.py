"""A real exporter process for tests: started on a free port, stopped with SIGTERM."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTENING = re.compile(r"msg=listening address=(\S+)")


class Exporter:
    """A running exporter."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.address = self._find_address()

    def _find_address(self) -> str:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            found = LISTENING.search(self.log())
            if found:
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"the exporter does not listen: {self.log()}")

    def log(self) -> str:
        """Return the log until now."""
        return self._log.read_text(encoding="utf-8")

    def get(self, path: str = "/metrics", headers: dict[str, str] | None = None) -> str:
        """Return the text of a page."""
        request = urllib.request.Request(f"http://{self.address}{path}", headers=headers or {})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class StartExporter(Protocol):
    """Starts exporters that end with the test."""

    def __call__(self, *flags: str) -> Exporter:
        """Start an exporter with these flags and wait until it listens."""


@pytest.fixture
def start_exporter(tmp_path: Path, checkout: Path) -> Iterator[StartExporter]:
    """Return a function that starts exporters."""
    with _starter(tmp_path, checkout) as start:
        yield start


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Exporter]:
    """Return one exporter with the default collectors, for tests that only scrape."""
    with _starter(tmp_path_factory.mktemp("running"), checkout) as start:
        yield start()


@contextmanager
def _starter(directory: Path, checkout: Path) -> Iterator[StartExporter]:
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> Exporter:
        log = directory / f"exporter-{len(started)}.log"
        command = [sys.executable, "-m", "perfloop_exporter", "--web.listen-address=127.0.0.1:0", *flags]
        with log.open("w") as sink:
            process = subprocess.Popen(command, stderr=sink, text=True, cwd=checkout)
        started.append(process)
        return Exporter(process, log)

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()
