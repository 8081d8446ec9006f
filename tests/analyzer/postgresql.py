"""A real PostgreSQL on a socket of its own, which a test can stop, freeze and start again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator


@dataclass(frozen=True)
class Server:
    """A cluster that runs; `home` is its directory and its socket's."""

    home: Path
    control: tuple[object, ...]

    @property
    def url(self) -> str:
        """The database's URL."""
        return f"postgresql+psycopg://pf@/postgres?host={self.home}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-k {self.home} -c listen_addresses= -c fsync=off"
        log = self.home / "log"
        subprocess.run([*map(str, self.control), "-o", options, "-l", str(log), "start"], check=True, stdout=-3)

    def stop(self) -> None:
        """Stop it as a crash does."""
        subprocess.run([*map(str, self.control), "-m", "immediate", "stop"], check=True, stdout=-3)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the server and every process of its connections."""
        main = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in (main, *map(int, children)):
            os.kill(pid, number)


@contextmanager
def run_postgresql() -> Iterator[Server]:
    """Run a new cluster; the test is skipped where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "/absent")]
    if not found[-1].exists():
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    home = Path(tempfile.mkdtemp(prefix="perfloop-pg-"))
    runner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if runner:
        shutil.chown(home, "postgres")
    binary = found[-1].parent
    subprocess.run([*runner, binary / "initdb", "-D", home / "data", "-A", "trust", "-U", "pf"], check=True, stdout=-3)
    server = Server(home, (*runner, binary / "pg_ctl", "-D", home / "data", "-w"))
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(home)
