"""False findings: pure noise and clean seasonal days over a thousand series, through the service's own pipeline.

Usage: python benchmarks/analyzer_noise.py [--series 1000] [--hours 1] [--every 1] Every 10 s a cycle sees the newest
240 points (5 s apart) of all series; every 10 min the long view sees the newest seven days. A finding counts once,
from the first cycle that tells it until it has been silent for a cycle.
"""

import argparse
import json
import time

import numpy as np

from analyzer.catalog import Limit, Signal
from analyzer.detectors.multiple import cycle_level
from analyzer.pipeline import NoveltyWatch, Settings, learn
from analyzer.pipeline.detect import detect_all
from analyzer.series import Batch, Grid

STEP, CYCLE, POINTS = 5.0, 10.0, 240
LONG_STEP, LONG_POINTS = 600.0, 1008
KINDS = ("gaussian", "student t5", "autocorrelated 0.5", "daily season")


def make(kind: str, rows: int, points: int, step: float, rng: np.random.Generator) -> np.ndarray:
    """Return series of one kind around 100 with a standard deviation of about 5."""
    if kind == "student t5":
        noise = rng.standard_t(5, (rows, points)) / np.sqrt(5 / 3)
    else:
        noise = rng.standard_normal((rows, points))
    if kind == "autocorrelated 0.5":
        for at in range(1, points):
            noise[:, at] = 0.5 * noise[:, at - 1] + np.sqrt(0.75) * noise[:, at]
    values = 100.0 + 5.0 * noise
    if kind == "daily season":
        phase = rng.random((rows, 1))
        values += 30.0 * np.sin(2 * np.pi * (np.arange(points) * step / 86_400 + phase))
    return values


def batch_of(values: np.ndarray, grid: Grid) -> dict[str, Batch]:
    """Wrap rows as one signal."""
    return {"noise": Batch("noise", grid, tuple({"service": "s", "n": str(row)} for row in range(len(values))), values)}


def watch_cycles(values: np.ndarray, signal: Signal, every: int) -> int:
    """Slide the cycle's window over the day; return how many findings began."""
    level, told, count = cycle_level(CYCLE), set(), 0
    stride = round(CYCLE / STEP) * every
    for end in range(POINTS, values.shape[1] + 1, stride):
        grid = Grid((end - POINTS) * STEP, STEP, POINTS)
        seen = detect_all(batch_of(values[:, end - POINTS : end], grid), {"noise": signal}, Settings(level=level))
        keys = {(finding.detector, finding.labels["n"]) for finding in seen.findings}
        count += len(keys - told)
        told = keys
    return count


def watch_history(values: np.ndarray, signal: Signal) -> int:
    """Slide the long view over a day behind a week; return how many findings began."""
    watch, told, count = NoveltyWatch(), set(), 0
    table = {"noise": signal}
    for end in range(LONG_POINTS, values.shape[1] + 1, 6):
        grid = Grid((end - LONG_POINTS) * LONG_STEP, LONG_STEP, LONG_POINTS)
        batches = batch_of(values[:, end - LONG_POINTS : end], grid)
        found = [*learn(batches, table, "1m", cycle_level(300.0)).findings, *watch.watch(batches, table, "1m")]
        keys = {(finding.detector, finding.labels["n"]) for finding in found}
        count += len(keys - told)
        told = keys
    return count


def main() -> None:
    """Print false findings per day over all series, by kind of noise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--every", type=int, default=1, help="look at every n-th cycle only")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    signal = Signal(name="noise", expr="noise", component="api", kind="red", unit="x", limit=Limit())
    rows = arguments.series // len(KINDS)
    report: dict[str, float] = {}
    started = time.perf_counter()
    for kind in KINDS:
        points = POINTS + round(arguments.hours * 3600 / STEP)
        short = watch_cycles(make(kind, rows, points, STEP, rng), signal, arguments.every)
        long = watch_history(make(kind, rows, LONG_POINTS + 144, LONG_STEP, rng), signal)
        report[kind] = short * 24.0 / arguments.hours + long
        words = f"{short} in {arguments.hours:g} h of cycles, {long} in a day's long view"
        print(f"{kind:20s} {rows} series: {words}", flush=True)
    total = sum(report.values())
    took = time.perf_counter() - started
    print(f"false findings a day over {rows * len(KINDS)} series: {total:g} (bar 1), {took:.0f} s")
    print(json.dumps({"false_findings_a_day": total, "kinds": report, "every": arguments.every}))


if __name__ == "__main__":
    main()
