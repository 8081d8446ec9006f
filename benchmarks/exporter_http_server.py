"""CPU per response of the exporter's web server, side by side with the standard library's http.server.

    python benchmarks/exporter_http_server.py [--requests 3000] [--rounds 5]

Both serve the same 10 kB, about a gzipped scrape, to one client on one connection, as Prometheus scrapes; in turns,
each in a process of its own. Ours answers once as it does for a page and once as for a scrape, during which another
thread waits for the other connections. The bars are a reason for a server of our own: at most 0.5 and 0.65 of the CPU.
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
from perfloop_exporter.web.guard import Guard
from perfloop_exporter.web.messages import Request, Response
from perfloop_exporter.web.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

BODY = os.urandom(10_000)
HEADERS = {"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4", "User-Agent": "Prometheus/3.13"}
PAGE_BAR, SCRAPE_BAR = 0.5, 0.65


def serve_page(ready: Connection) -> None:
    """Serve with the exporter's server, as it does a page, until the process is killed."""
    _serve_ours(ready, quick=True)


def serve_scrape(ready: Connection) -> None:
    """Serve with the exporter's server, as it does a scrape, until the process is killed."""
    _serve_ours(ready, quick=False)


def _serve_ours(ready: Connection, *, quick: bool) -> None:
    listener = listen(Address("127.0.0.1", 0), "--web.listen-address")
    Server([listener], Application(quick=quick), Guard()).start()
    ready.send(listener.getsockname()[1])
    ready.recv()


class Application:
    """Answers every request with the same bytes."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick

    def answer(self, _request: Request) -> Response:
        """Return the bytes."""
        return Response(200, BODY)

    def is_quick(self, _request: Request) -> bool:
        """Return whether no other thread has to serve meanwhile."""
        return self._quick

    def share_key(self, _request: Request) -> None:
        """Return that each request has an answer of its own."""


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
        # In nanoseconds, of all threads: the ticks of /proc/PID/stat are 10 ms.
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def stop(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def main() -> int:
    """Print the figures and their ratios; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    targets = {"page": Target(serve_page), "scrape": Target(serve_scrape), "http.server": Target(serve_theirs)}
    found: dict[str, list[float]] = {name: [] for name in targets}
    try:
        for _ in range(arguments.rounds):
            for name, target in targets.items():
                found[name].append(target.measure(arguments.requests))
    finally:
        for target in targets.values():
            target.stop()
    for name, costs in found.items():
        spread = f"min {min(costs):.1f}, max {max(costs):.1f}"
        print(f"{name:12} {statistics.median(costs):6.1f} us CPU per response ({spread})")
    met = True
    for name, bar in (("page", PAGE_BAR), ("scrape", SCRAPE_BAR)):
        ratio = statistics.median(mine / other for mine, other in zip(found[name], found["http.server"], strict=True))
        print(f"CPU per response, {name}: {ratio:.2f} x http.server (bar: {bar})")
        met = met and ratio <= bar
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
