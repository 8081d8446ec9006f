"""Every HTTP server of the project, started as a user starts it, and raw sockets to it."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

NAMES = ("exporter", "analyzer", "inbox", "demo", "loadgen")
# What every program has beside the paths of its OpenAPI document.
COMMON_PATHS = (
    "/",
    "/metrics",
    "/-/healthy",
    "/-/ready",
    "/openapi.json",
    "/docs",
    "/report",
    "/no/such/page",
    "/favicon.ico",
)
_ANY = "127.0.0.1:0"
_LISTENING = re.compile(r"(?:msg=listening address=|listening on https?://|url=https?://)(127\.0\.0\.1:[0-9]+)")
_MODULES = {
    "exporter": ("perfloop_exporter", "--collector.disable-defaults", "--collector.loadavg"),
    "analyzer": (
        *("perfloop_analyzer", "run", "--prometheus.url=http://127.0.0.1:1", "--web.token-file={directory}/token"),
    ),
    "inbox": ("perfloop_inbox", f"--smtp.listen-address={_ANY}"),
    "demo": ("perfloop_demo.service", "--data.dir={directory}/data"),
    "loadgen": ("perfloop_loadgen", "run", "{directory}/test.yml", "--url={demo}"),
}
_TEST = """load_tests:
  slow:
    name: slow
    duration_seconds: 0
    concurrent_users: 1
    think_time_seconds: 5
    endpoints: [{path: /-/healthy}]
"""
TOKEN = "a-token-for-tests"


@dataclass(frozen=True)
class Answer:
    """A response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpServer:
    """A running program."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path
    address: tuple[str, int] = ("", 0)

    @property
    def log(self) -> str:
        """Everything that the program has written so far."""
        return self.log_path.read_text(errors="replace")

    def connect(self, seconds: float = 20.0) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(self.address, seconds)

    def ask(
        self,
        method: str = "GET",
        path: str = "/-/healthy",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        context: ssl.SSLContext | None = None,
    ) -> Answer:
        """Return the response to one request on a connection of its own."""
        host, port = self.address
        given = {"Host": f"{host}:{port}", "Connection": "close", **(headers or {})}
        if body:
            given["Content-Length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "\r\n"]
        with self.connect() as plain:
            connection = plain if context is None else context.wrap_socket(plain, server_hostname=host)
            connection.sendall("\r\n".join(lines).encode("latin-1") + body)
            received = read_all(connection)
            if context is not None:
                connection.close()
        return parse_answer(received)

    def operations(self) -> list[tuple[str, str]]:
        """Return every method and path, parameters filled in."""
        found = [("GET", path) for path in COMMON_PATHS]
        answer = self.ask(path="/openapi.json")
        if answer.status == 200:
            for path, kinds in json.loads(answer.body)["paths"].items():
                found += [(method.upper(), re.sub(r"\{[^}]*\}", "x", path)) for method in kinds]
        return sorted(set(found))

    def memory_bytes(self) -> int:
        """Return the resident memory of the process."""
        with open(f"/proc/{self.process.pid}/statm") as file:  # noqa: PTH123  # one line
            return int(file.read().split()[1]) * 4096


def read_all(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes the connection."""
    received = bytearray()
    with suppress(ConnectionError, ssl.SSLError):
        while chunk := connection.recv(65_536):
            received += chunk
    return bytes(received)


def parse_answer(received: bytes) -> Answer:
    """Return a whole response; status 0 where nothing came."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Answer(int(words[1]) if len(words) > 1 else 0, headers, body)


def _start(name: str, directory: Path, demo: str, flags: Sequence[str]) -> HttpServer:
    own = directory / name
    own.mkdir()
    (own / "token").write_text(TOKEN)
    (own / "test.yml").write_text(_TEST)
    module, *more = (part.format(directory=own, demo=demo) for part in _MODULES[name])
    command = [sys.executable, "-m", module, *more, f"--web.listen-address={_ANY}", *flags]
    log_path = own / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    return HttpServer(name, process, log_path)


def _wait(server: HttpServer) -> None:
    def find() -> re.Match[str] | None:
        assert server.process.poll() is None, server.log
        return _LISTENING.search(server.log.replace("listening for mail", ""))

    found = wait_for(find, f"{server.name} to listen", 90)
    assert found is not None
    host, _, port = found[1].rpartition(":")
    server.address = (host, int(port))


@contextmanager
def running(
    directory: Path, names: Sequence[str] = NAMES, flags: Sequence[str] = (), demo: str = "http://127.0.0.1:1"
) -> Iterator[dict[str, HttpServer]]:
    """Start programs side by side, wait until each listens, and stop them at the end."""
    servers = {name: _start(name, directory, demo, flags) for name in names}
    try:
        for server in servers.values():
            _wait(server)
        yield servers
    finally:
        for server in servers.values():
            server.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 20
        for server in servers.values():
            try:
                server.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
