"""An open loop at 10,000 requests a second: is the whole schedule sent, and on time?

    python benchmarks/loadgen_open_loop.py [--rate 10000] [--seconds 20]

Bars: at least 99.9 % of the schedule sent, schedule lag p99 at most 1 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from loadgen_rig import loadgen, nginx, nginx_requests, run_measured, write_test

LEAST_SENT, MOST_LAG_SECONDS = 0.999, 0.001


def main() -> int:
    """Run once and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, nginx(18082) as url:
        load = f"{{shape: constant_rate, rate: {arguments.rate}}}"
        test = f'{{base_url: "{url}", duration_seconds: {arguments.seconds}, load: {load}, endpoints: [{{path: /}}]}}'
        report = Path(name) / "report.json"
        before = nginx_requests(url)
        run_measured(loadgen("run", write_test(Path(name), test), "--report.json", report))
        seen = nginx_requests(url) - before - 1
        total = json.loads(report.read_bytes())["summary"]["total"]
    planned = arguments.rate * arguments.seconds
    lag = total["lag"]["quantiles_seconds"]
    print("| planned | counted by nginx | counted by us | sent | lag p50 | lag p99 | lag p99.9 |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    cells = [planned, seen, total["total_requests"], f"{seen / planned:.4%}"]
    print("|", " | ".join(map(str, [*cells, *(f"{lag[p] * 1e6:.0f} µs" for p in ("p50", "p99", "p99.9"))])), "|")
    kept = seen == total["total_requests"] and seen >= LEAST_SENT * planned and lag["p99"] <= MOST_LAG_SECONDS
    print("bar met" if kept else "bar missed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
