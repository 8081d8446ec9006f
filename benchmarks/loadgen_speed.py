"""Requests per generator CPU-second: ours with full measurement on, side by side with the field's tools.

    python benchmarks/loadgen_speed.py [--seconds 10] [--rounds 3]

Every tool asks the same nginx (one worker, its own core) over 32 connections, bound to the other core, in turn,
round by round. Requests are nginx's own count; CPU is what the kernel says of the whole process, start included.
Tools that are not on PATH are left out and named; Locust runs in an environment of its own (`make setup-bench`).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import peers
from loadgen_rig import loadgen, nginx, nginx_requests, run_measured, write_test

CONNECTIONS = 32
LOCUSTFILE = """
from locust import FastHttpUser, task

class Asks(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/")
"""
K6_SCRIPT = """
import http from "k6/http";
export default function () {{ http.get("{url}/"); }}
"""
# Our share of each tool's rate that the project holds itself to.
BARS = {"wrk": 0.8, "hey": 2.0, "locust": 10.0}


def commands(url: str, seconds: int, directory: Path) -> dict[str, list[str]]:
    """Return the command of each tool that is here."""
    test = (
        f'{{base_url: "{url}", duration_seconds: {seconds}, concurrent_users: {CONNECTIONS}, endpoints: [{{path: /}}]}}'
    )
    (directory / "locustfile.py").write_text(LOCUSTFILE)
    (directory / "k6.js").write_text(K6_SCRIPT.format(url=url))
    connections, length = str(CONNECTIONS), f"{seconds}s"
    locust = ["-m", "locust", "-f", f"{directory}/locustfile.py", "--headless", "-u", connections, "-r", connections]
    known = {
        "loadgen": loadgen("run", write_test(directory, test)),
        "wrk": ["wrk", "-t1", f"-c{connections}", f"-d{length}", "--latency", f"{url}/"],
        "hey": ["hey", "-c", connections, "-z", length, "-cpus", "1", f"{url}/"],
        "oha": ["oha", "-c", connections, "-z", length, "--no-tui", f"{url}/"],
        "vegeta": [
            "sh",
            "-c",
            f"echo GET {url}/ | vegeta attack -rate=0 -max-workers={connections} -duration={length}",
        ],
        "k6": ["k6", "run", "--quiet", "--vus", connections, "--duration", length, f"{directory}/k6.js"],
    }
    if peers.has_peer("locust"):
        known["locust"] = [peers.interpreter("locust"), *locust, "-t", length, "--host", url, "--only-summary"]
    here = {"loadgen", "locust", *(name for name in ("wrk", "hey", "oha", "vegeta", "k6") if shutil.which(name))}
    for name in known.keys() - here:
        print(f"{name}: not here, left out")
    return {name: command for name, command in known.items() if name in here}


def measure(seconds: int, rounds: int) -> dict[str, list[float]]:
    """Return requests per CPU-second of each tool, round by round."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, nginx() as url:
        tools = commands(url, seconds, Path(name))
        for _ in range(rounds):
            for tool, command in tools.items():
                before = nginx_requests(url)
                cost = run_measured(command)
                requests = nginx_requests(url) - before - 1
                found.setdefault(tool, []).append(requests / cost.cpu_seconds)
                print(
                    f"{tool:<8} {requests:>9} requests {cost.cpu_seconds:6.2f} CPU-s {found[tool][-1]:>9.0f} per CPU-s"
                )
    return found


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates = {tool: statistics.median(values) for tool, values in measure(arguments.seconds, arguments.rounds).items()}
    print("\n| tool | requests per CPU-second | ours against it | bar |\n|---|---:|---:|---:|")
    missed = []
    for tool, rate in sorted(rates.items(), key=lambda pair: -pair[1]):
        share = rates["loadgen"] / rate
        bar = BARS.get(tool)
        print(f"| {tool} | {rate:,.0f} | {share:.2f} x | {f'≥ {bar} x' if bar else ''} |")
        if bar is not None and share < bar:
            missed.append(tool)
    print(f"bars missed: {', '.join(missed)}" if missed else "every bar met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
