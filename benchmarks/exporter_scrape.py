"""CPU per sample of a scrape and resident memory, side by side with node_exporter in one run.

    python benchmarks/exporter_scrape.py [--scrapes 300] [--rounds 5] [--soak 10000]

Peer: the release below, built with Go into .perfloop/bench; without Go, node_exporter or prometheus-node-exporter on
PATH, else Debian's package, unpacked into .perfloop. Both run the collectors that are on by default here and that the
peer has, those of hardware that the machine lacks included, and are scraped as Prometheus does it: one connection,
gzip, in turns.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from perfloop.stack import programs
from perfloop_exporter.collectors.catalogue import SPECS

CHECKOUT = Path(__file__).resolve().parents[1]
PEER = "github.com/prometheus/node_exporter@v1.12.1"
COLLECTOR_FLAG = re.compile(r"^ *--(?:\[no-\])?collector\.([a-z_]+) ", re.MULTILINE)
PEER_PORT, OUR_PORT = 19197, 19198
CPU_BAR, MEMORY_BAR_MB = 0.5, 45.0
HEADERS = {"Accept-Encoding": "gzip", "Accept": "text/plain;version=0.0.4"}


class Round(NamedTuple):
    """What some scrapes of one exporter took."""

    cpu_seconds: float
    samples: int
    scrapes: int

    @property
    def per_sample(self) -> float:
        """Microseconds of CPU per sample."""
        return self.cpu_seconds / self.scrapes / self.samples * 1e6


class Target:
    """A running exporter."""

    def __init__(self, name: str, command: list[str], port: int) -> None:
        self.name = name
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=CHECKOUT)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 20
        while True:
            try:
                self.scrape()
            except OSError:
                self._connection.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def scrape(self) -> bytes:
        """The answer as it came."""
        self._connection.request("GET", "/metrics", headers=HEADERS)
        return self._connection.getresponse().read()

    def cpu_seconds(self) -> float:
        """User and system time until now."""
        columns = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Resident memory in units of 10^6 bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    def measure(self, scrapes: int) -> Round:
        """CPU of some scrapes in a row."""
        samples = count_samples(self.scrape())
        begin = self.cpu_seconds()
        for _ in range(scrapes):
            self.scrape()
        return Round(self.cpu_seconds() - begin, samples, scrapes)

    def stop(self) -> None:
        """End the process."""
        self._connection.close()
        self.process.terminate()
        self.process.wait()


def count_samples(answer: bytes) -> int:
    """The samples in an answer."""
    return sum(1 for line in gzip.decompress(answer).splitlines() if line and not line.startswith(b"#"))


def find_peer() -> tuple[str, str]:
    """The path of the peer, and which release it is."""
    home = programs.home() / "bench" / "node_exporter"
    if shutil.which("go"):
        environment = os.environ | {"GOBIN": str(home)}
        if subprocess.run(["go", "install", PEER], env=environment, check=False).returncode == 0:
            return str(home / "node_exporter"), PEER
    found = shutil.which("node_exporter") or shutil.which("prometheus-node-exporter")
    path = found or str(programs.ensure("node_exporter", programs.home()))
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    return path, (version.stdout + version.stderr).partition("\n")[0]


def shared_collectors(peer: str) -> list[str]:
    """Those that are on by default here and that the peer has."""
    page = subprocess.run([peer, "--help"], capture_output=True, text=True, check=True)
    theirs = set(COLLECTOR_FLAG.findall(page.stdout + page.stderr))
    return [spec.name for spec in SPECS if spec.default and spec.name in theirs]


def start(peer: str, release: str) -> tuple[Target, Target]:
    """Both exporters with the same collectors and without metrics about themselves."""
    shared = shared_collectors(peer)
    print(f"{release}, {len(shared)} collectors: {' '.join(shared)}")
    flags = [
        "--collector.disable-defaults",
        "--web.disable-exporter-metrics",
        *(f"--collector.{name}" for name in shared),
    ]
    theirs = Target("node_exporter", [peer, f"--web.listen-address=127.0.0.1:{PEER_PORT}", *flags], PEER_PORT)
    ours = [sys.executable, "-m", "perfloop_exporter", f"--web.listen-address=127.0.0.1:{OUR_PORT}"]
    return theirs, Target("perfloop", [*ours, *flags], OUR_PORT)


def compare(theirs: Target, ours: Target, rounds: int, scrapes: int) -> bool:
    """Whether ours takes at most half of theirs per sample; prints both."""
    results: dict[str, list[Round]] = {theirs.name: [], ours.name: []}
    for target in (theirs, ours):
        target.measure(20)
    for _ in range(rounds):
        for target in (theirs, ours):
            results[target.name].append(target.measure(scrapes))
    for name, found in results.items():
        costs = sorted(one.per_sample for one in found)
        millis = statistics.median(one.cpu_seconds / one.scrapes * 1e3 for one in found)
        print(
            f"{name:14} {found[0].samples:5} samples  {millis:6.2f} ms CPU per scrape  "
            f"{statistics.median(costs):6.2f} us per sample (min {costs[0]:.2f}, max {costs[-1]:.2f})"
        )
    ratio = statistics.median(
        mine.per_sample / other.per_sample for mine, other in zip(results[ours.name], results[theirs.name], strict=True)
    )
    whole = statistics.median(
        mine.cpu_seconds / other.cpu_seconds
        for mine, other in zip(results[ours.name], results[theirs.name], strict=True)
    )
    print(f"CPU per sample: {ratio:.2f} x node_exporter (bar: {CPU_BAR}); CPU per scrape: {whole:.2f} x")
    return ratio <= CPU_BAR


def soak(scrapes: int) -> bool:
    """Whether memory stays below the bar and does not grow, all default collectors on."""
    command = [sys.executable, "-m", "perfloop_exporter", f"--web.listen-address=127.0.0.1:{OUR_PORT}"]
    target = Target("perfloop", command, OUR_PORT)
    try:
        marks = []
        for tenth in range(11):
            marks.append(target.resident_mb())
            for _ in range(scrapes // 10 if tenth < 10 else 0):
                target.scrape()
    finally:
        target.stop()
    growth = marks[-1] - marks[5]
    print(
        f"resident memory over {scrapes} scrapes: {' '.join(f'{mark:.1f}' for mark in marks)} MB (bar: {MEMORY_BAR_MB})"
    )
    print(f"growth over the second half: {growth:+.2f} MB (bar: 0.5, one arena of the allocator)")
    return marks[-1] <= MEMORY_BAR_MB and growth <= 0.5


def main() -> int:
    """Run both comparisons; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scrapes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--soak", type=int, default=10_000)
    asked = parser.parse_args()
    theirs, ours = start(*find_peer())
    try:
        fast = compare(theirs, ours, asked.rounds, asked.scrapes)
    finally:
        theirs.stop()
        ours.stop()
    small = soak(asked.soak) if asked.soak else True
    print("bars met" if fast and small else "bars missed")
    return 0 if fast and small else 1


if __name__ == "__main__":
    sys.exit(main())
