"""Hosts of every state under one real Prometheus: one that runs, one with every kind of hardware, a frozen, a dead one.

The windows of rates are ten seconds instead of a minute, so that there is something to see soon.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx

from tests.grafana.boards import fill_in
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOW_SECONDS = 10
OPTIONAL = ("processes", "tcpstat", "swap", "stat.softirq", "cpu.info")
# Two views of one thing; the newer of each is taken.
OLDER = {"cgroup-v1", "filesystem-container"}
CONFIG = """\
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: [{targets}], labels: {{service: host}}}}]
"""


@dataclass(frozen=True)
class Machines:
    """The Prometheus and the instances of the hosts: this one, the one of the fixtures, the frozen and the dead one."""

    prometheus: httpx.Client
    running: str
    equipped: str
    frozen: str
    dead: str

    def ask(self, expression: str, instance: str = ".*") -> list[dict[str, Any]]:
        """Return the series that a panel's query finds now for the chosen host."""
        expression = expression.replace("$__rate_interval", f"{WINDOW_SECONDS}s")
        answer = self.prometheus.get("/api/v1/query", params={"query": fill_in(expression, {"instance": instance})})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found


def read_fixtures(checkout: Path) -> bytes:
    """The collectors' expected outputs as one scrape: a host that has every sensor, disk, swap and table."""
    collectors = checkout / "tests" / "exporter" / "collectors" / "fixtures"
    files = (file for file in sorted(collectors.glob("*/expected.prom")) if file.parent.name not in OLDER)
    return "".join(file.read_text(encoding="utf-8") for file in files).encode()


@contextmanager
def serve(body: bytes) -> Iterator[str]:
    """Answer every scrape with the same text; return the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class' own name
            """Keep the test's output free of requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def run(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, and end it even where it is frozen."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def start(prometheus_binary: str, checkout: Path, directory: Path) -> Iterator[Machines]:
    """Start everything; once each host has been scraped for a while, freeze one and kill another."""
    ports = find_free_ports(4)
    running, frozen, dead, own = (f"127.0.0.1:{port}" for port in ports)
    flags = [f"--collector.{name}" for name in OPTIONAL]
    (directory / "rules").mkdir()
    for name in ("use.yml", "thresholds.yml"):
        rules = (checkout / "prometheus" / "rules" / name).read_text(encoding="utf-8")
        (directory / "rules" / name).write_text(re.sub(r"\[1m\]", f"[{WINDOW_SECONDS}s]", rules), encoding="utf-8")
    with ExitStack() as stack:
        equipped = stack.enter_context(serve(read_fixtures(checkout)))
        exporters = {
            address: stack.enter_context(
                run(
                    [sys.executable, "-m", "perfloop_exporter", f"--web.listen-address={address}", *flags],
                    directory / f"{address}.log",
                )
            )
            for address in (running, frozen, dead)
        }
        targets = ", ".join(f'"{address}"' for address in (running, equipped, frozen, dead))
        (directory / "prometheus.yml").write_text(CONFIG.format(targets=targets), encoding="utf-8")
        command = [
            prometheus_binary,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={own}",
        ]
        stack.enter_context(run(command, directory / "prometheus.log"))
        client = stack.enter_context(httpx.Client(base_url=f"http://{own}", timeout=60))
        machines = Machines(client, running, equipped, frozen, dead)
        wait_for(lambda: _count(machines, "count(instance:node_network_io_bytes:rate1m)") == 4, "every host's figures")
        exporters[frozen].send_signal(signal.SIGSTOP)
        exporters[dead].kill()
        wait_for(lambda: _count(machines, "count(up == 0)") == 2, "two hosts that are down")
        yield machines


def _count(machines: Machines, expression: str) -> float:
    try:
        found = machines.ask(expression)
    except httpx.HTTPError:  # not listening, or not ready yet
        return 0
    return float(found[0]["value"][1]) if found else 0
