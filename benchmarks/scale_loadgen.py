"""One load from several workers: split exactly, merged without loss, twice the rate for twice the cores.

    python benchmarks/scale_loadgen.py [--seconds 10] [--rounds 3]

Bars: every arrival of the schedule is sent once, by our count and by nginx's, with 1, 2 and 4 workers of Dask and with
four shares that are merged afterwards; p50 to p99 differ from those of one process by at most 3 % on a service whose
delays follow from the request; a worker that is killed leaves no arrival sent twice, and what is unknown is counted;
two workers have at least 0.9 of the requests per CPU-second of one, which is 1.8 times the rate on twice the cores.

A machine of two cores cannot show the rate itself: the service has one of them, and two generators share the other.
With four cores or more the rate is measured too. Locust's figure (`--processes`) is
beside ours where its environment is there (`make setup-bench`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peers
import psutil
from loadgen_rig import (
    GENERATOR_CORE,
    Cost,
    loadgen,
    nginx,
    nginx_requests,
    on_core,
    run_measured,
    wait_for,
    write_test,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DIFFERENCE = 0.03
LEAST_EFFICIENCY = 0.9
CONNECTIONS = 32
# Two for the workers, one for nginx, one for the rest.
CORES_FOR_RATES = 4
QUANTILES = ("p50", "p95", "p99")
LOCUSTFILE = """
from locust import FastHttpUser, task

class Asks(FastHttpUser):
    @task
    def ask(self):
        self.client.get("/")
"""
LIMITS = "generator_limits: {cpu_ratio: 9, event_loop_lag_seconds: 9, achieved_ratio: 0.5}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One bar: what was measured, and whether it was met."""

    what: str
    measured: str
    met: bool


def parse_flags() -> argparse.Namespace:
    """Return the command line's flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure everything; return 1 if a bar is missed."""
    arguments = parse_flags()
    if arguments.serve is not None:
        asyncio.run(serve_with_delays(arguments.serve))
    outcomes = [] if arguments.serve is not None else measure_all(arguments)
    print("| what | measured | bar |\n|---|---|---|")
    for one in outcomes:
        print(f"| {one.what} | {one.measured} | {'met' if one.met else 'missed'} |")
    return 0 if all(one.met for one in outcomes) else 1


def measure_all(arguments: argparse.Namespace) -> list[Outcome]:
    """Measure everything, each part in the same directory."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        return [
            *splits(directory, arguments.seconds),
            *percentiles(directory, arguments.seconds),
            *a_killed_worker(directory, arguments.seconds),
            *efficiency(directory, arguments.seconds, arguments.rounds),
        ]


def splits(directory: Path, seconds: int) -> Iterator[Outcome]:
    """Yield whether each arrival is sent once, by ours and by nginx's count."""
    rate = 400
    load = f"duration_seconds: {seconds}, load: {{shape: constant_rate, rate: {rate}}}, {LIMITS}"
    with nginx(18084) as url:
        test = write_test(directory, f'{{base_url: "{url}", {load}, endpoints: [{{path: /}}]}}')
        for workers in (1, 2, 4):
            before = nginx_requests(url)
            report = report_of(directory, loadgen("run", test, "--dask", "local", "--workers", workers))
            seen = nginx_requests(url) - before - 1
            sent = report["summary"]["total"]["total_requests"]
            each = ", ".join(str(worker["requests"]) for worker in report["workers"])
            yield Outcome(
                f"{rate}/s for {seconds} s from {workers} workers",
                f"{sent} counted by us ({each}), {seen} by nginx, {rate * seconds} in the schedule",
                sent == seen == rate * seconds,
            )
        before = nginx_requests(url)
        merged = merged_shares(directory, test, 4)
        seen = nginx_requests(url) - before - 1
        sent = merged["summary"]["total"]["total_requests"]
        yield Outcome(
            f"{rate}/s for {seconds} s from 4 shares, merged",
            f"{sent} counted by us, {seen} by nginx, {rate * seconds} in the schedule",
            sent == seen == rate * seconds,
        )


def percentiles(directory: Path, seconds: int) -> Iterator[Outcome]:
    """Yield how far the percentiles of several senders are from those of one; delays follow from the request."""
    port = 18085
    with subprocess.Popen([sys.executable, __file__, "--serve", str(port)]) as service:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/?n=0")
            load = f"duration_seconds: {seconds}, load: {{shape: constant_rate, rate: 100}}, {LIMITS}"
            endpoint = '{path: "/?n=${iteration}", name: n}'
            test = write_test(directory, f'{{base_url: "{url}", {load}, endpoints: [{endpoint}]}}')
            alone = report_of(directory, loadgen("run", test))
            others = {
                "2 workers": report_of(directory, loadgen("run", test, "--dask", "local", "--workers", 2)),
                "4 shares, merged": merged_shares(directory, test, 4),
            }
        finally:
            service.terminate()
    for name, report in others.items():
        ratios = {one: _response(report, one) / _response(alone, one) - 1 for one in QUANTILES}
        yield Outcome(
            f"percentiles of {name} against one process",
            ", ".join(f"{one} {ratio:+.2%}" for one, ratio in ratios.items()),
            all(abs(ratio) <= MOST_DIFFERENCE for ratio in ratios.values()),
        )


def _response(report: dict[str, Any], quantile: str) -> float:
    return float(report["summary"]["total"]["response"]["quantiles_seconds"][quantile])


def a_killed_worker(directory: Path, seconds: int) -> Iterator[Outcome]:
    """Kill a sender half way, and yield whether everything adds up to the schedule."""
    rate, seconds = 300, max(seconds, 8)
    load = f"duration_seconds: {seconds}, load: {{shape: constant_rate, rate: {rate}}}, {LIMITS}"
    report = directory / "report.json"
    with nginx(18086) as url:
        test = write_test(directory, f'{{base_url: "{url}", {load}, endpoints: [{{path: /}}]}}')
        before = nginx_requests(url)
        flags = ("--dask", "local", "--workers", 3, "--on-lost-worker", "take-over", "--report.json", report)
        with subprocess.Popen(loadgen("run", test, *flags), stdout=subprocess.DEVNULL) as process:
            while nginx_requests(url) - before < rate * 2:
                time.sleep(0.1)
            os.kill(psutil.Process(process.pid).children()[-1].pid, signal.SIGKILL)
            process.wait()
        found = json.loads(report.read_bytes())
    sent = found["summary"]["total"]["total_requests"]
    [lost] = [worker for worker in found["workers"] if worker["lost"]]
    [note] = [note for note in found["summary"]["notes"] if "arrivals of the schedule" in note]
    unknown = int(note.split()[0])
    yield Outcome(
        f"worker {lost['number']} of 3 killed, its share taken over",
        f"{sent} counted + {unknown} unknown = {sent + unknown}, {rate * seconds} in the schedule",
        sent + unknown == rate * seconds,
    )


def efficiency(directory: Path, seconds: int, rounds: int) -> Iterator[Outcome]:
    """Yield the requests per CPU-second of two workers against one; and the rate, where there are cores for it."""
    found: dict[int, list[float]] = {1: [], 2: []}
    rates: dict[int, list[float]] = {1: [], 2: []}
    with nginx(18087) as url:
        for _ in range(rounds):
            for workers in (1, 2):
                # Each with as many connections as one alone: fewer are answered in smaller batches, which cost more.
                load = f"duration_seconds: {seconds}, concurrent_users: {CONNECTIONS * workers}, {LIMITS}"
                test = write_test(directory, f'{{base_url: "{url}", {load}, endpoints: [{{path: /}}]}}')
                report = report_of(directory, loadgen("run", test, "--dask", "local", "--workers", workers))
                lasted = report["summary"]["duration_seconds"]
                used = sum(worker["cpu_ratio"] for worker in report["workers"]) * lasted
                sent = report["summary"]["total"]["total_requests"]
                found[workers].append(sent / used)
                rates[workers].append(sent / lasted)
        locust = locust_efficiency(url, seconds, directory)
    one, two = (statistics.median(found[workers]) for workers in (1, 2))
    yield Outcome(
        "requests per CPU-second, two workers against one",
        f"{two / 1000:.0f} k against {one / 1000:.0f} k: {two / one:.2f}, or {2 * two / one:.2f} x the rate for twice "
        f"the cores{locust}",
        two / one >= LEAST_EFFICIENCY,
    )
    if len(os.sched_getaffinity(0)) >= CORES_FOR_RATES:
        ratio = statistics.median(rates[2]) / statistics.median(rates[1])
        yield Outcome("rate of two workers against one", f"{ratio:.2f} x", ratio >= 2 * LEAST_EFFICIENCY)


def locust_efficiency(url: str, seconds: int, directory: Path) -> str:
    """Return the same figure of Locust in words; nothing where its environment is not there."""
    if not peers.has_peer("locust"):
        return " (Locust is not installed: `make setup-bench`)"
    file = directory / "locustfile.py"
    file.write_text(LOCUSTFILE)
    program = peers.ENVIRONMENTS / "locust" / "bin" / "locust"
    found = []
    for processes in (1, 2):
        several = [] if processes == 1 else ["--processes", str(processes)]
        users = [f"--users={CONNECTIONS * processes}", "--spawn-rate=100", f"--run-time={seconds}s"]
        command = [str(program), "-f", str(file), "--headless", "--only-summary", "--host", url, *users, *several]
        before = nginx_requests(url)
        cost: Cost = run_measured(command)
        found.append((nginx_requests(url) - before - 1) / cost.cpu_seconds)
    return f"; Locust's two processes against one: {found[1] / found[0]:.2f} ({found[1] / 1000:.1f} k)"


def report_of(directory: Path, command: list[str]) -> dict[str, Any]:
    """Run a test and return its report."""
    path = directory / "report.json"
    path.unlink(missing_ok=True)
    own_core = command if len(os.sched_getaffinity(0)) >= CORES_FOR_RATES else on_core(GENERATOR_CORE, command)
    done = subprocess.run([*own_core, "--report.json", str(path)], capture_output=True, check=False)
    if not path.exists():
        sys.exit(done.stderr.decode())
    report: dict[str, Any] = json.loads(path.read_bytes())
    return report


def merged_shares(directory: Path, test: Path, shares: int) -> dict[str, Any]:
    """Run a process for each share, from one moment on, and return the report of all of them merged."""
    # To start Python and import takes a second each, and longer on a machine that others use too.
    start = f"{time.time() + 10 + 3 * shares:.0f}"
    parts = [directory / f"share-{number}.json" for number in range(1, shares + 1)]
    started = [
        subprocess.Popen(
            loadgen("run", test, "--share", f"{number}/{shares}", "--start-at", start, "--report.json", part),
            stdout=subprocess.DEVNULL,
        )
        for number, part in enumerate(parts, 1)
    ]
    for process in started:
        process.wait()
    return report_of(directory, loadgen("merge", *parts))


async def serve_with_delays(port: int) -> None:
    """Answer each request after a delay that follows from its number: 20 ms in the median, with a long tail."""
    server = await asyncio.start_server(_answer, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            number = head.split(b"n=", 1)[1].split(b" ", 1)[0].decode()
            await asyncio.sleep(min(1.0, random.Random(number).lognormvariate(-3.9, 0.7)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


if __name__ == "__main__":
    sys.exit(main())
