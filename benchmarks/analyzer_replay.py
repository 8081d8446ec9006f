"""Replay: cycles a second, rounds of queries, and whether each cycle is the live one.

Usage: python benchmarks/analyzer_replay.py [--seed N | --random] [--hours 6] [--series 5 50]

Generated services have four signals of noise with a daily season, one in ten a fault of twenty minutes. The source
answers from memory as a range query would, so that the time is the replay's own: cutting windows, the whole cycle, the
reading of a week of history every five minutes, the journal. Every minute is analyzed. The peer is the service's own
loop over the same source, which queries every window; the results of both must be the same.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time

import numpy as np

from perfloop_analyzer.catalog import load_catalog
from perfloop_analyzer.config import AnalysisConfig, ReplayConfig
from perfloop_analyzer.loop import Loop
from perfloop_analyzer.pipeline import Knowledge
from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.recommend import load_rules
from perfloop_analyzer.replay import Journal, Scratch, make_plan, read_holds, replay
from perfloop_analyzer.series import Batch, Floats, Grid

STEP, DAY = 15.0, 86_400.0
END = 1_750_032_000.0
LEVELS = {"db_query_time_p95": 0.02, "api_response_time_p95": 0.1, "process_cpu_cores": 0.5, "request_rate": 40.0}
FAULTY, FAULT_SECONDS = 10, 1200.0
CHECKED = 60  # cycles that the service's own loop runs as well
# The bars, at the first number of series: cycles a CPU second, rounds of queries a day of past.
LEAST_SPEED, MOST_ROUNDS = 50.0, 100


class Generated:
    """A Prometheus in memory; each value depends on its series and moment alone."""

    def __init__(self, services: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._services = services
        self._noise = rng.standard_normal((len(LEVELS), services, 4096))
        self._faults = END - rng.uniform(0.0, DAY / 4, services)
        self.rounds = 0

    async def query(self, queries: list[Query], grid: Grid) -> Responses:
        """Answer the signals that there are."""
        self.rounds += 1
        batches = {query.signal: self._batch(query.signal, grid) for query in queries}
        return Responses(batches, {}, sum(batch.values.size for batch in batches.values()))

    def _batch(self, signal: str, grid: Grid) -> Batch:
        if signal not in LEVELS:
            return Batch(signal, grid, (), np.empty((0, grid.points)))
        times = grid.times()
        place = np.rint(times / STEP).astype(np.int64) * 2_654_435_761 % 4096
        noise = self._noise[list(LEVELS).index(signal)][:, place]
        season = 1.0 + 0.3 * np.sin(times / DAY * 2.0 * np.pi)
        values: Floats = LEVELS[signal] * season * np.exp(0.1 * noise)
        begins = self._faults[:, None]
        fault = (times >= begins) & (times < begins + FAULT_SECONDS)
        fault[np.arange(self._services) % FAULTY != 0] = False
        labels = tuple({"service": f"s{number:03}"} for number in range(self._services))
        return Batch(signal, grid, labels, np.where(fault & (signal != "request_rate"), values * 8.0, values))

    async def scrape_interval(self) -> float | None:
        """Return the step."""
        return STEP


async def measure(series: int, hours: float, seed: int) -> tuple[float, float, int, str]:
    """Return cycles a CPU second, rounds a day, cycles that differ from the live ones, and what was found."""
    services = max(1, series // len(LEVELS))
    knowledge = Knowledge(load_catalog(), load_rules(()))
    past, config = ReplayConfig(END - hours * 3600.0, END, 60.0), AnalysisConfig()
    source = Generated(services, seed)
    plan = await make_plan(config, past, source, knowledge)
    journal = Journal(plan.start, plan.end, plan.stride, read_holds(knowledge.catalog, None))
    began = time.process_time()
    loop = Loop(plan.config, plan.read(source), Scratch(), knowledge)
    await replay(loop, plan.moments(), journal, lambda _: None)
    spent, rounds = time.process_time() - began, source.rounds
    # The last cycles, where the faults are: both begin there.
    again = Loop(plan.config, plan.read(source), Scratch(), knowledge)
    live = Loop(plan.config, source, Scratch(), knowledge)
    different = 0
    for moment in list(plan.moments())[-CHECKED:]:
        one, other = await again.cycle(moment), await live.cycle(moment)
        different += one is None or other is None or _found(one.as_dict()) != _found(other.as_dict())
    counts = journal.as_dict()["counts"]
    return journal.cycles / spent, rounds / (hours / 24.0), different, ", ".join(f"{n} {k}" for k, n in counts.items())


def _found(body: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != "failures"}


def main() -> int:
    """Measure and return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--random", action="store_true", help="another seed each time; it is printed")
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--series", type=int, nargs="+", default=[20, 200])
    asked = parser.parse_args()
    seed = secrets.randbelow(10**6) if asked.random else asked.seed
    print(f"seed {seed}, {asked.hours:g} h of past, a cycle each minute")
    print(f"{'series':>8} {'cycles/CPU s':>14} {'rounds a day':>14} {'unlike live':>12}  found")
    missed = False
    for place, series in enumerate(asked.series):
        speed, rounds, different, found = asyncio.run(measure(series, asked.hours, seed))
        print(f"{series:>8} {speed:>14.0f} {rounds:>14.0f} {different:>9}/{CHECKED}  {found}")
        missed |= different > 0 or rounds > MOST_ROUNDS or (place == 0 and speed < LEAST_SPEED)
    print(f"bars: {LEAST_SPEED:g} cycles at {asked.series[0]} series, {MOST_ROUNDS} rounds, 0 unlike live")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
