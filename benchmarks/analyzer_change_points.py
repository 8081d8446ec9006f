"""Known change points in seeded synthetic series: F1 of Perfloop, of ruptures PELT and of Apache Otava.

Usage: python benchmarks/analyzer_change_points.py [--series 300] [--seed 1] [--size 2.0]
Every kind gets the same number of series of 365 points with 0 to 3 steps at least 30 points apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence

import numpy as np
import peers
from peers import ChangePoints

from perfloop_analyzer.detectors.change_point import find_change_points

POINTS = 365
MARGIN = 5
APART = 30
KINDS = ("plain", "trend", "season", "heavy tails", "gaps")
Detector = Callable[[np.ndarray], ChangePoints]


def make(kind: str, count: int, size: float, rng: np.random.Generator) -> tuple[np.ndarray, list[list[int]]]:
    """Return series of one kind with noise of standard deviation 1, and the indices of their steps."""
    series, truth = np.empty((count, POINTS)), []
    for row in range(count):
        steps = _places(int(rng.integers(0, 4)), rng)
        noise = rng.standard_t(3, POINTS) / np.sqrt(3.0) if kind == "heavy tails" else rng.standard_normal(POINTS)
        level = np.zeros(POINTS)
        for at in steps:
            level[at:] += size * rng.choice((-1.0, 1.0))
        series[row] = 100.0 + level + noise + _background(kind, rng)
        if kind == "gaps":
            _cut_gaps(series[row], rng)
        truth.append(steps)
    return series, truth


def _places(count: int, rng: np.random.Generator) -> list[int]:
    while True:
        places = sorted(int(p) for p in rng.integers(APART, POINTS - APART, count))
        if all(b - a >= APART for a, b in itertools.pairwise(places)):
            return places


def _background(kind: str, rng: np.random.Generator) -> np.ndarray:
    clock = np.arange(POINTS)
    if kind == "trend":
        return rng.choice((-1.0, 1.0)) * rng.uniform(2.0, 8.0) * clock / POINTS
    if kind == "season":
        return rng.uniform(1.0, 3.0) * np.sin(2 * np.pi * (clock / rng.choice((7, 12, 24)) + rng.random()))
    return np.zeros(POINTS)


def _cut_gaps(row: np.ndarray, rng: np.random.Generator) -> None:
    for begin in rng.integers(0, POINTS - 6, 6):
        row[begin : begin + int(rng.integers(1, 6))] = np.nan


def ours(series: np.ndarray) -> ChangePoints:
    """Run Perfloop's detector over all series together."""
    found: list[list[int]] = [[] for _ in series]
    before = time.process_time()
    for point in find_change_points(series, alpha=1e-3):
        found[point.row].append(point.index)
    return ChangePoints(found, time.process_time() - before)


def pelt(series: np.ndarray) -> ChangePoints:
    """Run ruptures' PELT (see peers/change_points.py) in its own environment."""
    return peers.find_change_points("ruptures", _filled(series))


def otava(series: np.ndarray) -> ChangePoints:
    """Run Apache Otava (see peers/change_points.py) in its own environment."""
    return peers.find_change_points("otava", _filled(series))


def _filled(series: np.ndarray) -> np.ndarray:
    """Bridge gaps by straight lines: the peers take series without gaps only."""
    whole = series.copy()
    clock = np.arange(series.shape[1])
    for row in whole:
        there = np.isfinite(row)
        row[~there] = np.interp(clock[~there], clock[there], row[there])
    return whole


def score(found: Sequence[list[int]], truth: Sequence[list[int]]) -> tuple[int, int, int]:
    """Return true positives, false positives and misses; one found point answers for one step."""
    hits = extra = missed = 0
    for ours_, real in zip(found, truth, strict=True):
        left = list(ours_)
        for at in real:
            near = min(left, key=lambda one: abs(one - at), default=None)
            if near is not None and abs(near - at) <= MARGIN:
                left.remove(near)
                hits += 1
            else:
                missed += 1
        extra += len(left)
    return hits, extra, missed


def f1(hits: int, extra: int, missed: int) -> float:
    """Return the harmonic mean of precision and recall."""
    return 2 * hits / max(2 * hits + extra + missed, 1)


def main() -> None:
    """Print one line per detector and step size, and one JSON line with everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=300, help="per kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--only", nargs="+", default=["ours", "pelt", "otava"])
    arguments = parser.parse_args()
    detectors: dict[str, Detector] = {"ours": ours, "pelt": pelt, "otava": otava}
    report = {}
    for size in arguments.sizes:
        rng = np.random.default_rng(arguments.seed)
        sets = {kind: make(kind, arguments.series, size, rng) for kind in KINDS}
        for name in arguments.only:
            report[f"{name} {size:g}"] = _measure(name, size, detectors[name], sets)
    print(json.dumps(report))


def _measure(name: str, size: float, detect: Detector, sets: dict[str, tuple[np.ndarray, list[list[int]]]]) -> dict:
    total, parts, seconds, count = np.zeros(3, dtype=int), {}, 0.0, 0
    for kind, (series, truth) in sets.items():
        found, spent = detect(series)
        seconds += spent
        counts = score(found, truth)
        parts[kind] = round(f1(*counts), 4)
        total += counts
        count += len(series)
    overall = round(f1(*(int(one) for one in total)), 4)
    words = ", ".join(f"{kind} {value:.3f}" for kind, value in parts.items())
    print(f"{size:g} sigma  {name:6s} F1 {overall:.3f}  {count / seconds:9.0f} series/s  ({words})", flush=True)
    return {"f1": overall, "kinds": parts, "series_per_second": round(count / seconds), "counts": total.tolist()}


if __name__ == "__main__":
    main()
