"""CPU per response of the exporter's web server, side by side with the standard library's http.server.

    python benchmarks/exporter_http_server.py [--requests 3000] [--rounds 5]

Both serve the same 10 kB, about a gzipped scrape, to one client on one connection, as Prometheus scrapes; in turns,
each in a process of its own. The bar is the reason for a server of our own: it takes at most half the CPU.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import statistics
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.addresses import Address, listen
from perfloop_exporter.web.messages import Request, Response
from perfloop_exporter.web.server import OpenGate, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

BODY = os.urandom(10_000)
HEADERS = {"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4", "User-Agent": "Prometheus/3.13"}
BAR = 0.5


def serve_ours(ready: Connection) -> None:
    """Serve with the exporter's server until the process is killed."""
    listener = listen(Address("127.0.0.1", 0), "--web.listen-address")
    Server([listener], _answer, OpenGate()).start()
    ready.send(listener.getsockname()[1])
    ready.recv()


def _answer(_request: Request) -> Response:
    return Response(200, BODY)


class Handler(BaseHTTPRequestHandler):
    """The same response with the standard library, as plain as its documentation shows it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Send the response."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Log nothing, as the exporter does."""


def serve_theirs(ready: Connection) -> None:
    """Serve with http.server until the process is killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.serve_forever()


class Target:
    """One server in a process of its own, with the client's connection to it."""

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        self.pipe = ours  # open as long as the server runs
        self.connection = http.client.HTTPConnection("127.0.0.1", ours.recv(), timeout=10)

    def measure(self, requests: int) -> float:
        """Return the server's CPU time per response, in microseconds."""
        begin = self._cpu_seconds()
        for _ in range(requests):
            self.connection.request("GET", "/metrics", headers=HEADERS)
            self.connection.getresponse().read()
        return (self._cpu_seconds() - begin) / requests * 1e6

    def _cpu_seconds(self) -> float:
        columns = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def main() -> int:
    """Print both figures and their ratio; return 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    ours, theirs = Target(serve_ours), Target(serve_theirs)
    try:
        rounds = [
            (ours.measure(arguments.requests), theirs.measure(arguments.requests)) for _ in range(arguments.rounds)
        ]
    finally:
        ours.stop()
        theirs.stop()
    for name, found in zip(("perfloop", "http.server"), zip(*rounds, strict=True), strict=True):
        spread = f"min {min(found):.1f}, max {max(found):.1f}"
        print(f"{name:12} {statistics.median(found):6.1f} us CPU per response ({spread})")
    ratio = statistics.median(mine / other for mine, other in rounds)
    print(f"CPU per response: {ratio:.2f} x http.server (bar: {BAR})")
    return 0 if ratio <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
