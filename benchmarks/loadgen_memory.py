"""Ten million requests: does the generator's memory grow?

    python benchmarks/loadgen_memory.py [--requests 10000000] [--workers 1]

Bar: resident memory at the end, over all processes of the generator, is at most 20 MB above that four seconds after its
start; nginx counts as many requests.
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


def parse_flags() -> argparse.Namespace:
    """Return the command line's flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    """Run until enough requests were answered and watch the memory; return 1 if the bar is missed."""
    arguments = parse_flags()
    sizes: list[int] = []
    with tempfile.TemporaryDirectory() as name, nginx(18083) as url:
        load = f"duration_seconds: 0, concurrent_users: 32, workers: {arguments.workers}"
        test = f'{{base_url: "{url}", {load}, endpoints: [{{path: /}}]}}'
        report = Path(name) / "report.json"
        questions = 1
        before = nginx_requests(url)
        command = on_core(GENERATOR_CORE, loadgen("run", write_test(Path(name), test), "--report.json", report))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        watched = psutil.Process(process.pid)
        time.sleep(4)
        while True:
            sizes.append(sum(one.memory_info().rss for one in (watched, *watched.children(recursive=True))))
            questions += 1
            if nginx_requests(url) - before - questions >= arguments.requests:
                break
            time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.wait()
        seen = nginx_requests(url) - before - questions
        counted = json.loads(report.read_bytes())["summary"]["total"]["total_requests"]
    growth = max(sizes) - sizes[0]
    print("| requests counted by us | by nginx | resident after 4 s | at most | growth |\n|---:|---:|---:|---:|---:|")
    print(f"| {counted} | {seen} | {sizes[0] / 1e6:.1f} MB | {max(sizes) / 1e6:.1f} MB | {growth / 1e6:.1f} MB |")
    kept = counted == seen and growth <= MOST_GROWTH
    print("bar met" if kept else "bar missed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
