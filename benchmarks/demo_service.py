"""How many requests the demo service answers on one core, what it costs when idle, and whether it grows.

    python benchmarks/demo_service.py            # throughput and idle cost, half a minute
    python benchmarks/demo_service.py --soak 300 # five minutes of every route, then memory, rows and connections

The load comes from wrk (Debian's `wrk`); the service is pinned to one core and wrk to another. Exits 1 when a bar is
missed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

MIB = 1024 * 1024
# The bars: CPU cores while idle, searches per second of CPU.
MAX_IDLE_CORES, MIN_SEARCHES = 0.01, 300
# A soak looks for growth, not for speed.
_PAUSE_SECONDS = 0.02
SEARCH = (
    'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
    'wrk.body = \'{"query": "which cache answers while the load test runs"}\'\n'
)


def start(directory: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the service on the first core and return it with its address."""
    command = [
        sys.executable,
        "-m",
        "perfloop_demo.service",
        "--web.listen-address=127.0.0.1:0",
        f"--data.dir={directory}",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"msg=listening address=(\S+)", line)
        if found:
            return process, f"http://{found[1]}"
    raise SystemExit("the demo service did not start")


def spend(process: psutil.Process) -> float:
    """Return the CPU seconds a process has used."""
    times = process.cpu_times()
    return times.user + times.system


def measure_idle(process: psutil.Process, seconds: float = 10) -> bool:
    """Print the CPU used by a service without requests; return whether the bar is met."""
    before = spend(process)
    time.sleep(seconds)
    share = (spend(process) - before) / seconds
    met = share <= MAX_IDLE_CORES
    print(f"idle               {share:.2%} of one core (bar {MAX_IDLE_CORES:.0%}: {verdict(met)})")
    return met


def measure_search(process: psutil.Process, url: str, directory: Path, seconds: int = 10) -> bool:
    """Print the searches per second of one core; return whether the bar is met, True where wrk is missing."""
    if shutil.which("wrk") is None:
        print("search             skipped: wrk is not on PATH (apt-get install wrk)")
        return True
    script = directory / "search.lua"
    script.write_text(SEARCH)
    before = spend(process)
    command = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
    command += ["wrk", "-t1", "-c8", f"-d{seconds}s", "--latency", "-s", str(script), f"{url}/api/v1/search"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    requests = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]
    cpu = spend(process) - before
    p99 = re.search(r"99%\s+(\S+)", output)[1]  # type: ignore[index]
    met = requests / cpu >= MIN_SEARCHES and "Non-2xx" not in output
    print(f"search             {requests / cpu:.0f} requests per second of CPU (bar {MIN_SEARCHES}: {verdict(met)})")
    print(f"                   {requests / seconds:.0f} requests per second while other programs ran, p99 {p99}")
    return met


def verdict(met: bool) -> str:  # noqa: FBT001 - a bar is met or not
    """Return the word for a bar."""
    return "met" if met else "missed"


def soak(process: psutil.Process, url: str, seconds: float) -> None:
    """Load every route with texts that are all different, and print what grew."""
    deadline, number, readings = time.monotonic() + seconds, 0, []
    with httpx.Client(base_url=url, timeout=30) as client:
        while time.monotonic() < deadline:
            request_every_route(client, number)
            number += 1
            time.sleep(_PAUSE_SECONDS)
            if number % 500 == 0:
                readings.append(process.memory_info().rss / MIB)
        readings.append(process.memory_info().rss / MIB)
        documents = client.get("/health").json()["documents"]
    shown = ", ".join(f"{reading:.0f}" for reading in readings[:: max(1, len(readings) // 10)])
    print(f"soak               {number} rounds of six routes in {seconds:.0f} s; {documents} documents")
    print(f"                   resident MiB over time: {shown}")
    print(f"                   open files {process.num_fds()}, threads {process.num_threads()}")


def request_every_route(client: httpx.Client, number: int) -> None:
    """Send one request to each route, with texts that no request had before."""
    client.post("/api/v1/process/text", json={"content": f"Text number {number} of the soak."}).raise_for_status()
    client.post("/api/v1/search", json={"query": f"number {number}"}).raise_for_status()
    client.post("/api/v1/agents", json={"name": f"agent {number}", "goal": "soak"}).raise_for_status()
    client.get("/api/v1/agents").raise_for_status()
    client.get("/metrics").raise_for_status()
    chat = {"messages": [{"role": "user", "content": f"number {number}"}], "max_tokens": 1}
    client.post("/v1/chat/completions", json=chat).raise_for_status()


def main() -> int:
    """Run the measurements; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--soak", type=float, default=0, metavar="SECONDS", help="also load every route for this long")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        running, url = start(Path(directory))
        try:
            process = psutil.Process(running.pid)
            met = [measure_idle(process), measure_search(process, url, Path(directory))]
            if flags.soak:
                soak(process, url, flags.soak)
        finally:
            running.terminate()
            running.wait(10)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
