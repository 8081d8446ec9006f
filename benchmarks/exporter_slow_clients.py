"""Scrapes that succeed while slow clients hold connections, side by side with node_exporter.

    python benchmarks/exporter_slow_clients.py [--clients 1000] [--scrapes 20] [--node-exporter PATH]

Four kinds of clients: silent ones, senders of a head a byte at a time, readers that do not read their response, and
idle ones between two requests. Those that are closed connect again. Both servers run with the same limit of
descriptors; each scrape has a connection of its own and 10 seconds, Prometheus's default. The bar: ours misses none.

Peer: the path given, `node_exporter` or `prometheus-node-exporter` on PATH or in .perfloop/bin, else unpacked from
Debian's package.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from perfloop.stack import programs  # noqa: E402
from tests.support.slow_clients import KINDS, SlowClients, allow_descriptors  # noqa: E402

TIMEOUT_SECONDS = 10.0


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Target:
    """A running exporter with a limit of descriptors."""

    def __init__(self, command: list[str], descriptors: int) -> None:
        self.port = free_port()
        limited = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(
            [*limited, f"--web.listen-address=127.0.0.1:{self.port}"], stderr=subprocess.DEVNULL, cwd=CHECKOUT
        )
        end = time.monotonic() + 30
        while not self.scrape()[0]:
            if time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not answer")
            time.sleep(0.2)

    def scrape(self) -> tuple[bool, float]:
        """Return whether a scrape was complete, and its seconds."""
        begin = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            complete = answer.status == http.HTTPStatus.OK and bool(answer.read())
        except (OSError, http.client.HTTPException):
            complete = False
        finally:
            connection.close()
        seconds = time.monotonic() - begin
        return complete and seconds < TIMEOUT_SECONDS, seconds

    def threads(self) -> int:
        """Return how many threads the process has."""
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def find_peer(given: str) -> str:
    """Return the path of node_exporter."""
    found = given or shutil.which("node_exporter") or shutil.which("prometheus-node-exporter")
    return found or str(programs.ensure("node_exporter", programs.home()))


def measure(target: Target, kind: str, clients: int, scrapes: int) -> tuple[int, float, int]:
    """Return the good scrapes, the longest of them in seconds, and the threads, while clients are slow."""
    with SlowClients(("127.0.0.1", target.port), kind, clients):
        seconds = []
        threads = 0
        for _ in range(scrapes):
            good, taken = target.scrape()
            threads = max(threads, target.threads())
            if good:
                seconds.append(taken)
            time.sleep(0.5)
    return len(seconds), max(seconds, default=float("nan")), threads


def main() -> int:
    """Print a line per kind and server; return 1 when ours misses a scrape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--scrapes", type=int, default=20)
    parser.add_argument("--descriptors", type=int, default=1024)
    parser.add_argument("--node-exporter", default="")
    asked = parser.parse_args()
    if not allow_descriptors(asked.clients + 100):
        raise SystemExit(f"{asked.clients} clients need as many descriptors: raise `ulimit -n`")
    peer = find_peer(asked.node_exporter)
    version = subprocess.run([peer, "--version"], capture_output=True, text=True, check=False)
    print((version.stdout or version.stderr).splitlines()[0])
    missed = 0
    for kind in KINDS:
        for name, command in (("perfloop", [sys.executable, "-m", "perfloop_exporter"]), ("node_exporter", [peer])):
            target = Target(command, asked.descriptors)
            try:
                good, longest, threads = measure(target, kind, asked.clients, asked.scrapes)
            finally:
                target.stop()
            print(
                f"{asked.clients} {kind:10} {name:14} {good:2} of {asked.scrapes} scrapes, longest {longest:6.3f} s, "
                f"{threads} threads",
                flush=True,
            )
            missed += asked.scrapes - good if name == "perfloop" else 0
    print("perfloop missed no scrape" if not missed else f"perfloop missed {missed} scrapes")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
