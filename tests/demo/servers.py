"""Real PostgreSQL and Redis servers, Debian's, each in a directory and on a port of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import redis

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

# PostgreSQL refuses to run as root: then it runs as the account that its package makes, else as nobody.
_ACCOUNTS = ("postgres", "nobody")


@dataclass
class Server:
    """A server that can be stopped and started again."""

    url: str
    command: list[str]
    user: str | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it; whoever needs it waits until it answers."""
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, user=self.user, stdout=quiet, stderr=quiet)

    def stop(self) -> None:
        """End it at once, as a power cut would."""
        if self.process:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)
            self.process = None


def _find(name: str) -> str:
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or (str(candidates[0]) if candidates else None)
    if found is None:
        pytest.skip(f"{name} is not here: `apt-get install postgresql redis-server` to run the tests on real servers")
    return found


def _find_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _directory(user: str | None) -> Iterator[Path]:
    # Not pytest's own directory: the other account could not enter it.
    directory = Path(tempfile.mkdtemp(prefix="perfloop-test-"))
    if user:
        shutil.chown(directory, user)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def run_postgresql() -> Iterator[Server]:
    """Run a PostgreSQL that trusts everyone on this machine."""
    initdb, postgres = _find("initdb"), _find("postgres")
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    user = next(name for name in _ACCOUNTS if name in accounts) if os.geteuid() == 0 else None
    with _directory(user) as directory:
        data, port = directory / "data", _find_port()
        command = [initdb, "-D", str(data), "-U", "perfloop", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, user=user, capture_output=True)
        options = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={directory}"]
        url = f"postgresql://perfloop@127.0.0.1:{port}/postgres"
        server = Server(url, [postgres, "-D", str(data), "-p", str(port), *options], user)
        server.start()
        try:
            wait_for(lambda: _answers_sql(url), "PostgreSQL to answer")
            yield server
        finally:
            server.stop()


def _answers_sql(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def run_redis() -> Iterator[Server]:
    """Run a Redis that keeps nothing on disk."""
    program, port = _find("redis-server"), _find_port()
    with _directory(None) as directory:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        server = Server(f"redis://127.0.0.1:{port}/0", [program, *options])
        server.start()
        try:
            wait_for(lambda: _answers_ping(server.url), "Redis to answer")
            yield server
        finally:
            server.stop()


def _answers_ping(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
