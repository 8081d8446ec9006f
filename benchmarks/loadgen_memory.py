"""Ten million requests: does the generator's memory grow?

    python benchmarks/loadgen_memory.py [--requests 10000000]

Bar: resident memory at the end is at most 20 MB above that four seconds after its start; nginx counts as many requests.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from loadgen_rig import GENERATOR_CORE, loadgen, nginx, nginx_requests, on_core, write_test

MOST_GROWTH = 20e6


def main() -> int:
    """Run until enough requests were answered, watching the process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000_000)
    wanted = parser.parse_args().requests
    sizes: list[int] = []
    with tempfile.TemporaryDirectory() as name, nginx(18083) as url:
        test = f'{{base_url: "{url}", duration_seconds: 0, concurrent_users: 32, endpoints: [{{path: /}}]}}'
        report = Path(name) / "report.json"
        questions = 1
        before = nginx_requests(url)
        command = on_core(GENERATOR_CORE, loadgen("run", write_test(Path(name), test), "--report.json", report))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        watched = psutil.Process(process.pid)
        time.sleep(4)
        while True:
            sizes.append(watched.memory_info().rss)
            questions += 1
            if nginx_requests(url) - before - questions >= wanted:
                break
            time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.wait()
        seen = nginx_requests(url) - before - questions
        counted = json.loads(report.read_bytes())["summary"]["total"]["total_requests"]
    growth = max(sizes) - sizes[0]
    print("| requests counted by us | by nginx | resident after 4 s | at most | growth |\n|---:|---:|---:|---:|---:|")
    print(f"| {counted} | {seen} | {sizes[0] / 1e6:.1f} MB | {max(sizes) / 1e6:.1f} MB | {growth / 1e6:.1f} MB |")
    print("bar met" if counted == seen and growth <= MOST_GROWTH else "bar missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
