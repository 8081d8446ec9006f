"""Whether the capacity that a load test finds is what a second, longer test confirms.

    python benchmarks/capacity.py                      # ten rounds on the demo service, 100 s each
    python benchmarks/capacity.py --rounds 1           # one round
    python benchmarks/capacity.py --url http://127.0.0.1:8000/api/v1/agents

A round is `perfloop loadgen breakpoint`, which ends with a capacity and its 90% interval, and tests that are longer
than any of the search's: one at the lower bound, which must keep the thresholds, one at the upper bound, which must
break them: then the interval holds the rate. Beside it, what a search without confirmation and interval would have
said, its highest rate that passed: a longer test at that rate too. The demo's queries are made to take 0.3 s each, so
that its pool of ten connections is the limit, not whatever else the machine does. Exits 1 unless all are confirmed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from demo_service import start
from loadgen_rig import loadgen

from perfloop_base.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_SECONDS = 0.3
GATES = ["p95 < 0.6 s", "errors < 1 %"]
STEP_SECONDS, CONFIRM_SECONDS, LONG_SECONDS = 3, 9, 18
START_RATE = 5


@contextlib.contextmanager
def demo(directory: Path) -> Iterator[str]:
    """Run the demo service with slow queries, and yield the address of a route that makes one query."""
    process, url = start(directory / "demo")
    try:
        # Its figures of one core are of no interest here.
        os.sched_setaffinity(process.pid, os.sched_getaffinity(0))
        # A query of no rows does not wait.
        httpx.post(f"{url}/api/v1/agents", json={"name": "one", "goal": "be listed"}, timeout=10).raise_for_status()
        httpx.put(f"{url}/faults", json={"slow_queries": SLOW_SECONDS}, timeout=10).raise_for_status()
        yield f"{url}/api/v1/agents"
    finally:
        process.terminate()
        process.wait(10)


def write_test(directory: Path, url: str, load: dict[str, Any], seconds: float | None = None) -> Path:
    """Write a test of one address; JSON is YAML."""
    base, _, path = url.partition("//")[2].partition("/")
    test = {"base_url": f"{url.partition('//')[0]}//{base}", "endpoints": [{"path": f"/{path}"}], "load": load}
    # On a busy machine the generator is late by tens of ms at p99, which decides nothing against half a second at p95.
    test |= {"thresholds": GATES, "generator_limits": {"event_loop_lag_seconds": 0.25}} | (
        {"duration_seconds": seconds} if seconds else {}
    )
    file = directory / "test.yml"
    file.write_text(json.dumps({"load_tests": {"capacity": test}}))
    return file


def search(directory: Path, url: str) -> dict[str, Any]:
    """Return the report of a search."""
    load = {"shape": "breakpoint", "start_rate": START_RATE, "step_seconds": STEP_SECONDS}
    file, report = write_test(directory, url, load | {"confirm_seconds": CONFIRM_SECONDS}), directory / "report.json"
    report.unlink(missing_ok=True)
    run = loadgen("breakpoint", file, f"--report.json={report}", "--web.listen-address=127.0.0.1:0")
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if not report.exists():
        sys.exit(f"the search ended with {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def keeps(directory: Path, url: str, rate: float) -> bool:
    """Return whether a long test at a rate keeps the thresholds."""
    file = write_test(directory, url, {"shape": "constant_rate", "rate": rate}, LONG_SECONDS)
    run = loadgen("run", file, "--web.listen-address=127.0.0.1:0")
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if done.returncode not in {ExitCode.OK, ExitCode.FAILED}:
        print(f"  a test at {rate:.0f}/s has no verdict: {done.stdout[-300:]}{done.stderr[-300:]}")
    return done.returncode == ExitCode.OK


def run_round(number: int, directory: Path, url: str) -> tuple[bool, bool]:
    """Print a round; return whether the interval was confirmed, and whether the unconfirmed rate was."""
    report = search(directory, url)
    capacity = report["capacity"]
    if not capacity or capacity["upper"] is None:
        print(f"round {number:>2}: no capacity with two bounds: {capacity}, {report['summary']['reasons']}")
        return False, False
    lower, expected, upper = (capacity[bound] for bound in ("lower", "expected", "upper"))
    short = max(trial["rate"] for trial in report["trials"] if trial["passed"] and trial["seconds"] == STEP_SECONDS)
    below, above, plain = (keeps(directory, url, rate) for rate in (lower, upper, short))
    is_held = below and not above
    print(
        f"round {number:>2}: capacity {expected:.1f}/s, 90% interval {lower:.1f} to {upper:.1f} "
        f"({(upper - lower) / expected:.0%} wide), {len(report['trials'])} trials; {LONG_SECONDS} s at {lower:.1f}/s "
        f"{'kept' if below else 'broke'} the thresholds, at {upper:.1f}/s {'kept' if above else 'broke'} them; highest "
        f"short trial {short:.1f}/s {'kept' if plain else 'broke'} them",
        flush=True,
    )
    return is_held, plain


def main() -> int:
    """Run the rounds and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--url", help="another address than the demo's")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with contextlib.nullcontext(flags.url) if flags.url else demo(directory) as url:
            rounds = [run_round(number, directory, url) for number in range(1, flags.rounds + 1)]
    held, plain = (sum(column) for column in zip(*rounds, strict=True))
    print(f"confirmed by a longer test: {held} of {len(rounds)} (bar: all)")
    print(f"the highest short trial of the same searches, without confirmation and interval: {plain} of {len(rounds)}")
    return 0 if held == len(rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
