"""False findings: pure noise and clean seasonal days over a thousand series, through the service's own loop.

Usage: python benchmarks/analyzer_noise.py [--series 1000] [--hours 0.5] The bar is for `--hours 24`. The clock is
simulated, everything else is the service: a cycle every 10 s on the newest 240 points (5 s apart), the long view over
seven days every 5 min, the error budgets every minute, every detector, the store. What is reported of a series
counts once, from the first cycle that reports anything until a cycle does not, by the detector that began. A sample of
a heavy tail that really lies beyond a limit is no false finding; such crossings are counted apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.catalog import Limit, Signal
from perfloop_analyzer.config import RunConfig
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.pipeline import Knowledge
from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.series import Batch, Floats, Grid
from perfloop_analyzer.store import Database
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_analyzer.findings import Finding

STEP, CYCLE, POINTS = 5.0, 10.0, 240
LONG_STEP, WEEK = 600.0, 7 * 86_400.0
START = 1_700_006_400.0  # midnight UTC
KINDS = ("gaussian", "student_t5", "autocorrelated", "daily_season")
DIRECTIONS = ("above", "below")
DETECTORS = ("threshold", "anomaly", "change", "trend", "forecast")
CROSSED = "limit crossed"
BUDGET = Signal(
    name="error_ratio", expr="e[$window]", component="api", kind="red", limit=Limit(goal=0.001), detect=("burn",)
)
RATE = Signal(name="request_rate", expr="r[$window]", component="api", kind="red", detect=())


def clean(kind: str, rows: int, times: Floats, rng: np.random.Generator, phase: Floats) -> Floats:
    """Return series of one kind around 100 with a standard deviation of 5; a season swings by 30."""
    shape = (rows, len(times))
    noise = rng.standard_t(5, shape) / np.sqrt(5 / 3) if kind == "student_t5" else rng.standard_normal(shape)
    if kind == "autocorrelated":
        for at in range(1, len(times)):
            noise[:, at] = 0.5 * noise[:, at - 1] + np.sqrt(0.75) * noise[:, at]
    values = 100.0 + 5.0 * noise
    if kind == "daily_season":
        values += 30.0 * np.sin(2 * np.pi * (times / 86_400 + phase))
    return np.asarray(values, dtype=np.float64)


def catalogue() -> list[Signal]:
    """Return a signal of every kind and direction with every detector, its limits beyond what noise reaches."""
    limits = {"above": Limit(warning=200, critical=250, capacity=300), "below": Limit(warning=20, critical=10)}
    made = [
        Signal(
            name=f"{kind}_{direction}",
            expr=f"{kind}_{direction}",
            component="api",
            kind="red",
            direction=direction,
            limit=limits[direction],
            detect=DETECTORS,
        )
        for kind in KINDS
        for direction in DIRECTIONS
    ]
    return [*made, BUDGET, RATE]


class Clean:
    """A source on which nothing ever happens."""

    def __init__(self, series: int, hours: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._rows = series // (len(KINDS) * len(DIRECTIONS))
        self._begin = START - STEP * (POINTS - 1)
        short = self._begin + STEP * np.arange(POINTS + round(hours * 3600 / STEP))
        past = START - WEEK + LONG_STEP * np.arange(round((WEEK - (START - self._begin)) / LONG_STEP))
        self._known = {signal.name for signal in catalogue()}
        self._short: dict[str, Floats] = {}
        self._past: dict[str, Floats] = {}
        for name in (signal.name for signal in catalogue()[:-2]):
            phase = self._rng.random((self._rows, 1))
            kind = name.rpartition("_")[0]
            self._short[name] = clean(kind, self._rows, short, self._rng, phase)
            self._past[name] = clean(kind, self._rows, past, self._rng, phase)

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Answer every query of a signal, whatever its step; the analyzer's own published series do not exist."""
        asked = [one.signal for one in queries if one.signal.partition("@")[0] in self._known]
        return Responses({name: self._batch(name, grid) for name in asked}, {})

    async def scrape_interval(self) -> float:
        """Return the time between two points."""
        return STEP

    def _batch(self, name: str, grid: Grid) -> Batch:
        labels = tuple({"service": f"s{row}"} for row in range(self._rows))
        return Batch(name, grid, labels, self._values(name, grid))

    def _values(self, name: str, grid: Grid) -> Floats:
        base, _, window = name.partition("@")
        if base in (BUDGET.name, RATE.name):
            events = 20.0 * parse_duration(window or "1m")
            rows = (self._rows, grid.points)
            counted = self._rng.poisson(0.0005 * events, rows) / events
            return counted if base == BUDGET.name else np.full(rows, 20.0)
        if grid.step == STEP:
            first = round((grid.start - self._begin) / STEP)
            return self._short[name][:, first : first + grid.points]
        places = np.round((grid.times() - self._begin) / STEP).astype(np.int64)
        recent = self._short[name][:, places[places >= 0]]
        return np.concatenate([self._past[name][:, -int((places < 0).sum()) :], recent], axis=1)[:, -grid.points :]


async def watch(series: int, hours: float, seed: int) -> Counter[str]:
    """Run the loop over the hours; return how many findings began, by detector and signal."""
    began: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    config = RunConfig(interval_seconds=CYCLE, step_seconds=STEP, points=POINTS)
    database = Database("sqlite://")
    loop = Loop(config, Clean(series, hours, seed), database, Knowledge(catalogue(), load_rules()))
    for number in range(round(hours * 3600 / CYCLE)):
        result = await loop.cycle(START + number * CYCLE)
        if result is None:
            raise SystemExit(f"a cycle failed: {loop.published.error}")
        kinds = {(found.signal, found.service): _kind(found) for found in result.findings}
        began.update(f"{kinds[one]} {one[0]}" for one in kinds.keys() - known)
        known = set(kinds)
        if number % 360 == 0:
            print(f"hour {number // 360:2d}: {began.total()} so far {dict(began)}", flush=True)
    database.close()
    return began


def _kind(found: Finding) -> str:
    """Return the detector's name, or that a limit was really crossed."""
    crossed = found.value > 200 if found.direction == "above" else found.value < 20
    return CROSSED if found.detector == "threshold" and crossed else found.detector


def main() -> int:
    """Print false findings over all series, by detector; return 1 if there are more than one in 24 h."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.perf_counter()
    began = asyncio.run(watch(arguments.series, arguments.hours, arguments.seed))
    took = time.perf_counter() - started
    crossings = sum(count for kind, count in began.items() if kind.startswith(CROSSED))
    false = began.total() - crossings
    words = f"{false} in {arguments.hours:g} h over {arguments.series} series"
    print(f"false findings: {words} (bar 1 in 24 h), limits really crossed: {crossings}, {dict(began)}, {took:.0f} s")
    print(json.dumps({"false_findings": false, "crossings": crossings, "hours": arguments.hours, "kinds": dict(began)}))
    return 0 if false <= max(1.0, arguments.hours / 24) else 1


if __name__ == "__main__":
    sys.exit(main())
