"""Strangers on the network: slow clients, foreign names and other sites' requests, beside the peers in the same test.

python benchmarks/hostile_network.py [--connections 1000] [--programs exporter,node_exporter]

Each program runs as a user starts it: exporter, analyzer, load generator, inbox, demo service; and Prometheus,
Alertmanager and node_exporter where they are on PATH or in .perfloop/bin. While that many connections send nothing, a
byte every three seconds, half a body, or take no response, twenty scrapes are made: how many are answered within a
second, how slow is the slowest, and how many connections are left after 15 s? Then: is a foreign Host answered (DNS
rebinding), is HEAD, does a form or plain text of another site change anything, has a page a Content-Security-Policy?
Exits 1 when one of our programs misses a scrape, keeps slow heads, answers a foreign name or lets a change pass.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop.stack import programs
from tests.support.free_ports import find_free_ports
from tests.support.servers import NAMES, HttpServer, running
from tests.support.strangers import ATTACKS, strangers
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRAPES, IN_TIME_SECONDS, HEAD_SECONDS = 20, 1.0, 15.0
PEERS = {
    "prometheus": ("--config.file={directory}/empty.yml", "--storage.tsdb.path={directory}/data"),
    "alertmanager": (
        "--config.file={directory}/alertmanager.yml",
        "--storage.path={directory}/am",
        "--cluster.listen-address=",
    ),
    "node_exporter": (),
}
# Where a POST changes something.
CHANGES = {"inbox": "/heartbeat", "demo": "/faults", "alertmanager": "/api/v2/alerts"}
SIMPLE = {"form": "application/x-www-form-urlencoded", "text": "text/plain"}
BODIES = {"alertmanager": b'[{"labels": {"alertname": "Forged"}}]'}


@dataclass
class Outcome:
    """What one program did."""

    good: dict[str, int] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)
    left: int = 0
    foreign: int = 0
    head: int = 0
    simple: list[int] = field(default_factory=list)
    has_policy: bool = False

    def faults(self) -> Iterator[str]:
        """Yield what a program of this project must not do."""
        for attack, good in self.good.items():
            if good < SCRAPES:
                yield f"{attack}: {good} of {SCRAPES} scrapes within {IN_TIME_SECONDS:g} s"
        if self.left:
            yield f"{self.left} connections are left after {HEAD_SECONDS:g} s"
        if self.foreign < 400 or any(status < 400 for status in self.simple) or not self.has_policy:
            yield f"a foreign name gets {self.foreign}, simple requests {self.simple}"


def start_peers(directory: Path, names: list[str], stack: ExitStack) -> dict[str, HttpServer]:
    """Start the peers that are here; each is ended with the stack."""
    (directory / "empty.yml").write_text("global: {}\n")
    (directory / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
    found = {}
    for name in names:
        binary = programs.find(name)
        if binary is None:
            print(f"{name} is neither on PATH nor in .perfloop/bin: run `make tools`", file=sys.stderr)
            continue
        (port,) = find_free_ports(1)
        flags = [flag.format(directory=directory) for flag in PEERS[name]]
        log = stack.enter_context((directory / f"{name}.log").open("wb"))
        process = subprocess.Popen([binary, f"--web.listen-address=127.0.0.1:{port}", *flags], stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        found[name] = HttpServer(name, process, Path(log.name), ("127.0.0.1", port))
        wait_for(lambda one=found[name]: is_up(one), f"{name} to listen", 60)
    return found


def is_up(server: HttpServer) -> bool:
    """Return whether the program answers."""
    try:
        return server.ask(path="/metrics").status == 200
    except OSError:
        return False


def descriptors(server: HttpServer) -> int:
    """Return how many files and connections the program has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def examine(server: HttpServer, count: int) -> Outcome:
    """Try everything on one program."""
    outcome = Outcome()
    for attack in ATTACKS:
        before = descriptors(server)
        with strangers(server.address, attack, count):
            times = [scrape(server) for _ in range(SCRAPES)]
            if attack == "a byte now and then":
                time.sleep(HEAD_SECONDS)
                outcome.left = max(0, descriptors(server) - before - SCRAPES)
        outcome.good[attack] = sum(seconds <= IN_TIME_SECONDS for seconds in times)
        outcome.slowest[attack] = max(times)
    outcome.foreign = server.ask(path="/metrics", headers={"Host": "evil.example"}).status
    outcome.head = server.ask("HEAD", "/metrics").status
    outcome.has_policy = "content-security-policy" in server.ask(path="/").headers
    if server.name in CHANGES:
        path, body = CHANGES[server.name], BODIES.get(server.name, b"{}")
        method = "PUT" if server.name == "demo" else "POST"
        outcome.simple = [server.ask(method, path, {"Content-Type": kind}, body).status for kind in SIMPLE.values()]
    return outcome


def scrape(server: HttpServer) -> float:
    """Return how long one scrape takes, in seconds; without a good answer it never ends."""
    started = time.monotonic()
    try:
        good = server.ask(path="/metrics").status == 200
    except OSError:
        good = False
    return time.monotonic() - started if good else float("inf")


def report(outcomes: dict[str, Outcome]) -> int:
    """Print the table and the faults of our programs; return the exit code."""
    attacks = " | ".join(f"{attack}: good, slowest" for attack in ATTACKS)
    print(f"| program | {attacks} | slow heads left | foreign Host | HEAD | form, text | policy |")
    print(f"|---{'|---' * (len(ATTACKS) + 5)}|")
    for name, one in outcomes.items():
        cells = [f"{one.good[attack]} of {SCRAPES}, {one.slowest[attack]:.2f} s" for attack in ATTACKS]
        simple = ", ".join(map(str, one.simple)) or "-"
        policy = "yes" if one.has_policy else "no"
        print(f"| {' | '.join((name, *cells, str(one.left), str(one.foreign), str(one.head), simple, policy))} |")
    faults = [f"{name}: {fault}" for name, one in outcomes.items() if name in NAMES for fault in one.faults()]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def main() -> int:
    """Run, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--programs", default=",".join((*NAMES, *PEERS)))
    options = parser.parse_args()
    names = options.programs.split(",")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = stack.enter_context(running(directory, [name for name in names if name in NAMES]))
        servers |= start_peers(directory, [name for name in names if name in PEERS], stack)
        return report({name: examine(server, options.connections) for name, server in servers.items()})


if __name__ == "__main__":
    sys.exit(main())
