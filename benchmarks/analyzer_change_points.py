"""Change points: F1 and covering of Perfloop beside ruptures (PELT, binary segmentation) and Apache Otava.

Usage: python benchmarks/analyzer_change_points.py [--seed 1 | --random] [--data DIRECTORY] [--only ours ...]

1. Series of the character that people annotate (annotated_series.py), with the two measures of the Turing change point
   data set. `--data` reads the data set itself: a checkout of github.com/alan-turing-institute/TCPD with its series
   made (`datasets/NAME/NAME.json`, `annotations.json`).
2. Known steps of 1, 2 and 4 sigma: every kind gets the same number of series of 365 points with 0 to 3 steps at least
   30 points apart.

The exit code is 1 when a bar is missed. The bar for the speed is analyzer_speed.py's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import annotated_series
import numpy as np
import peers
from annotated_series import make_annotated
from peers import ChangePoints
from segmentation_scores import Annotated, covering, f_measure, read_annotated

from perfloop_analyzer.detectors.change_point import find_change_points

POINTS = 365
MARGIN = 5
# The bars: F1 and covering on generated series (15 of each kind scatter by 0.02), the data set's own, 2 sigma.
GENERATED_BARS, DATA_BARS, TWO_SIGMA_BAR = (0.88, 0.81), (0.75, 0.69), 0.95
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


def _filled(series: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Bridge gaps by straight lines: the peers take series without gaps only."""
    whole = []
    for row in series:
        there, clock = np.isfinite(row), np.arange(len(row))
        whole.append(np.interp(clock, clock[there], row[there]))
    return whole


def ours_of_any_length(series: Sequence[np.ndarray]) -> ChangePoints:
    """Run Perfloop's detector over series of different lengths, each alone."""
    found, seconds = [], 0.0
    for row in series:
        points, spent = ours(row[None, :])
        found += points
        seconds += spent
    return ChangePoints(found, seconds)


def measure_annotated(series: Sequence[Annotated], only: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Print F1 and covering of each kind and of all series, for each method; return those of all series."""
    values = [one.values for one in series]
    answers = {"nothing": [[] for _ in series], "ours": ours_of_any_length(values).found}
    for peer, methods in {"ruptures": ("pelt", "binseg"), "otava": ("otava",)}.items():
        for method in set(methods) & set(only):
            answers[method] = peers.find_change_points(peer, _filled(values), method).found
    table: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for number, one in enumerate(series):
        for method, found in answers.items():
            at = found[number]
            pair = f_measure(one.annotations, at), covering(one.annotations, at, len(one.values))
            for line in (one.name.rstrip(" 0123456789"), "all"):
                table[line][method].append(pair)
    print(f"{'F1 / covering':20s}" + "".join(f"{method:>16s}" for method in answers))
    for line in sorted(table, key=lambda name: (name == "all", name)):
        means = {method: np.mean(pairs, axis=0) for method, pairs in table[line].items()}
        print(f"{line:20s}" + "".join(f"{f1_:9.3f} / {cover:.3f}"[-16:].rjust(16) for f1_, cover in means.values()))
    return {method: tuple(np.mean(pairs, axis=0).tolist()) for method, pairs in table["all"].items()}


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


def main() -> int:
    """Print one line per detector and kind, and one JSON line with everything; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=100, help="per kind of known steps")
    parser.add_argument("--annotated", type=int, default=15, help="per kind of annotated series")
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, default=1)
    seeds.add_argument("--random", action="store_true")
    parser.add_argument("--data", type=Path, help="the Turing change point data set instead of generated series")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--only", nargs="+", default=["ours", "pelt", "binseg", "otava"])
    arguments = parser.parse_args()
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if arguments.random else arguments.seed
    print(f"seed {seed}", flush=True)
    series, bars = _annotated(arguments, seed)
    scores = measure_annotated(series, arguments.only)
    met = all(mine >= bar for mine, bar in zip(scores["ours"], bars, strict=True))
    print(f"ours: F1 {scores['ours'][0]:.3f} (bar {bars[0]}), covering {scores['ours'][1]:.3f} (bar {bars[1]})")
    report: dict[str, object] = {"seed": seed, "annotated": scores}
    detectors: dict[str, Detector] = {"ours": ours, "pelt": pelt, "otava": otava}
    for size in () if arguments.data else arguments.sizes:
        rng = np.random.default_rng(seed)
        sets = {kind: make(kind, arguments.series, size, rng) for kind in KINDS}
        for name in (name for name in detectors if name in arguments.only):
            report[f"{name} {size:g}"] = measured = _measure(name, size, detectors[name], sets)
            met = met and (size != 2.0 or name != "ours" or measured["f1"] >= TWO_SIGMA_BAR)
    print(json.dumps(report))
    print("bars met" if met else "bars missed")
    return 0 if met else 1


def _annotated(arguments: argparse.Namespace, seed: int) -> tuple[list[Annotated], tuple[float, float]]:
    """Return the annotated series that were asked for, with their bars."""
    if arguments.data:
        return list(read_annotated(arguments.data)), DATA_BARS
    rng = np.random.default_rng(seed)
    made = [one for kind in annotated_series.KINDS for one in make_annotated(kind, arguments.annotated, rng)]
    return made, GENERATED_BARS


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
    bar = f" (bar {TWO_SIGMA_BAR})" if size == 2.0 and name == "ours" else ""
    print(f"{size:g} sigma  {name:6s} F1 {overall:.3f}{bar}  {count / seconds:9.0f} series/s  ({words})", flush=True)
    return {"f1": overall, "kinds": parts, "series_per_second": round(count / seconds), "counts": total.tolist()}


if __name__ == "__main__":
    sys.exit(main())
