"""Every figure of this project, one command each, next to its peer: `make bench`.

Usage: python benchmarks/run_all.py [NAME ...]

NAME is a part of a file's name; without one, every benchmark runs, one after the other, alone on an otherwise idle
machine. A benchmark exits 1 when a bar is missed, or when its peer is not installed; the others run all the same.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Modules that benchmarks share; everything else here is a benchmark.
SHARED = {
    "run_all",
    "autoscaling_fleet",
    "autoscaling_loads",
    "autoscaling_scalers",
    "compare_live",
    "compare_noise",
    "endurance_watch",
    "endurance_work",
    "gain_cases",
    "gain_systems",
    "grafana_history",
    "loadgen_rig",
    "novelty_corpus",
    "peers",
    "traffic_series",
}


def find_benchmarks(names: list[str]) -> list[Path]:
    """Return the benchmarks whose file name has one of `names` in it, all of them without names."""
    found = sorted(path for path in HERE.glob("*.py") if path.stem not in SHARED)
    return [path for path in found if not names or any(name in path.stem for name in names)]


def main(names: list[str]) -> int:
    """Run the benchmarks and list at the end those that failed."""
    failed = []
    for path in find_benchmarks(names):
        print(f"\n== {path.name}", flush=True)
        start = time.monotonic()
        done = subprocess.run([sys.executable, str(path)], cwd=HERE.parent, check=False)
        print(f"-- {path.name}: exit {done.returncode} after {time.monotonic() - start:.0f} s", flush=True)
        failed += [path.name] if done.returncode else []
    print(f"\nfailed, or missed a bar: {', '.join(failed)}" if failed else "\nevery benchmark met its bars")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
