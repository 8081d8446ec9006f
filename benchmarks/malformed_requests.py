"""Malformed requests to every endpoint of every program: an error, a traceback, growing memory, a crash?

python benchmarks/malformed_requests.py [--requests 10000] [--seed 1] [--programs exporter,inbox]

Each program runs as a user starts it, and gets that many requests to each of its endpoints: truncated, with heads too
large, bytes that are no HTTP, percent garbage, two lengths, wrong methods, foreign and malformed hosts, numbers that no
number holds, JSON that is none or is of another form (tests/support/malformed.py makes them from the seed). Prints what
was answered, and exits 1 when any answer was a 5xx other than 503 (nothing to show yet, or too many requests), a
program ended, its log has a traceback or a line that is not its own, a good request failed behind them, or its memory
grew by more than 64 MiB.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.malformed import cases, send
from tests.support.servers import NAMES, HttpServer, running

if TYPE_CHECKING:
    from multiprocessing.pool import Pool

MOST_GROWTH_BYTES = 64 * 1024 * 1024
WARM_UP = 500
UNAVAILABLE = 503
SHOWN = 5


@dataclass
class Outcome:
    """What one program answered."""

    endpoints: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    growth_bytes: int = 0
    seconds: float = 0.0


def attack(
    address: tuple[str, int], endpoint: tuple[str, str], count: int, seed: int
) -> tuple[Counter[int], list[str]]:
    """Send requests to one endpoint; return the statuses, and a few of the requests that ended in an error."""
    server = HttpServer("", None, Path(), address)  # type: ignore[arg-type]  # only its address is used
    statuses: Counter[int] = Counter()
    errors = []
    for case, status in send(server, cases(seed, *endpoint), count):
        statuses[status] += 1
        if status >= 500 and status != UNAVAILABLE and len(errors) < SHOWN:
            errors.append(f"{' '.join(endpoint)}: {status} for {case.kind}: {case.data[:200]!r}")
    return statuses, errors


def examine(server: HttpServer, pool: Pool, count: int, seed: int) -> Outcome:
    """Attack every endpoint of one program, then look at the program."""
    outcome, started = Outcome(), time.monotonic()
    endpoints = server.operations()
    for endpoint in endpoints:
        pool.apply(attack, (server.address, endpoint, min(count, WARM_UP), seed))
    before = server.memory_bytes()
    for endpoint in endpoints:
        statuses, errors = pool.apply(attack, (server.address, endpoint, count, seed + 1))
        outcome.statuses += statuses
        outcome.errors += errors
        if server.process.poll() is not None:
            outcome.errors.append(f"it ended with {server.process.returncode} at {' '.join(endpoint)}")
            return outcome
        if server.ask().status != 200:
            outcome.errors.append(f"no good answer behind {' '.join(endpoint)}")
    outcome.endpoints, outcome.growth_bytes = len(endpoints), server.memory_bytes() - before
    outcome.seconds = time.monotonic() - started
    outcome.errors += look_at_log(server)
    if outcome.growth_bytes > MOST_GROWTH_BYTES:
        outcome.errors.append(f"its memory grew by {outcome.growth_bytes / 2**20:.0f} MiB")
    return outcome


def look_at_log(server: HttpServer) -> list[str]:
    """Return what a log of a program under attack must not have."""
    lines = server.log.splitlines()
    found = ["its log has a traceback"] if any("Traceback" in line for line in lines) else []
    strange = [line for line in lines if not line.startswith("time=")]
    return found + [f"a line of its log is not its own: {line[:200]!r}" for line in strange[:SHOWN]]


def main() -> int:
    """Run, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=10_000, help="for each endpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", default=",".join(NAMES))
    options = parser.parse_args()
    names = options.programs.split(",")
    with (
        tempfile.TemporaryDirectory() as directory,
        running(Path(directory), names) as servers,
        get_context("spawn").Pool(len(names)) as pool,
        ThreadPoolExecutor(len(names)) as threads,
    ):
        work = (
            servers.values(),
            itertools.repeat(pool),
            itertools.repeat(options.requests),
            itertools.repeat(options.seed),
        )
        outcomes = dict(zip(names, threads.map(examine, *work), strict=True))
    return report(outcomes)


def report(outcomes: dict[str, Outcome]) -> int:
    """Print the table and the errors; return the exit code."""
    print("| program | endpoints | requests | closed | 2xx | 4xx | 503 | other 5xx | memory | seconds |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, one in outcomes.items():
        classes = Counter(
            {key: sum(n for status, n in one.statuses.items() if status // 100 == key) for key in range(6)}
        )
        unavailable = one.statuses[UNAVAILABLE]
        counts = (classes[0], classes[2], classes[4], unavailable, classes[5] - unavailable)
        cells = (name, one.endpoints, one.statuses.total(), *counts, f"{one.growth_bytes / 2**20:+.1f} MiB")
        print(f"| {' | '.join(map(str, cells))} | {one.seconds:.0f} |")
    errors = [f"{name}: {error}" for name, one in outcomes.items() for error in one.errors]
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
