"""Part (b) of `compare_calibration.py`: real runs of the demo service on loopback while another process makes noise."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from contextlib import contextmanager
from math import log
from pathlib import Path
from statistics import fmean, variance
from typing import TYPE_CHECKING

import demo_service
import httpx

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.comparing import Options, compare_runs
from perfloop_loadgen.app.tester import LoadTester
from perfloop_loadgen.compare.answers import Answer
from perfloop_loadgen.compare.student import two_sided_p
from perfloop_loadgen.config import LoadTestConfig
from perfloop_loadgen.config.model import GeneratorLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfloop_loadgen.summary.document import Document

RUNS, EFFECT = 5, 0.1
RUN_SECONDS, USERS = 0.5, 4
# What the database of the demo waits in each query: long enough that a tenth of it is more than a timer's step.
QUERY_SECONDS = 0.02
MOST_FALSE, LEAST_RIGHT = 0.01, 0.95
INVALID = "invalid"
# A neighbour: bursts of work on up to two cores, with pauses; it ends with its parent, and by itself.
_NEIGHBOUR = """
import os, random, sys, time
parent, until = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while os.getppid() == parent and time.monotonic() < until:
    burst = time.monotonic() + random.uniform(0.05, 1.5)
    while time.monotonic() < burst:
        sum(range(1000))
    time.sleep(random.uniform(0.05, 2.0))
"""
_LONGEST_SECONDS = 3 * 3600


@contextmanager
def neighbours(count: int = 2) -> Iterator[None]:
    """Let other processes work while the block runs."""
    command = [sys.executable, "-I", "-S", "-c", _NEIGHBOUR, str(os.getpid()), str(_LONGEST_SECONDS)]
    running = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


@contextmanager
def demo() -> Iterator[str]:
    """Serve the demo, without the load generator's core."""
    with tempfile.TemporaryDirectory() as directory:
        process, url = demo_service.start(Path(directory))
        # A pipe that nobody reads stops who writes to it.
        threading.Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
        # A query for no row does not wait.
        httpx.post(f"{url}/api/v1/agents", json={"name": "one", "goal": "to be listed"}).raise_for_status()
        try:
            yield url
        finally:
            process.terminate()
            process.wait(10)


async def run(url: str, query_seconds: float) -> Document:
    """Run once against the service as this build would be."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        (await client.put("/faults", json={"slow_queries": query_seconds})).raise_for_status()
    config = LoadTestConfig(
        name="calibration",
        base_url=url,
        duration_seconds=RUN_SECONDS,
        concurrent_users=USERS,
        endpoints=[{"path": "/api/v1/agents"}],
        # What noise does to the generator goes into the comparison here: runs are not called invalid for it.
        generator_limits=GeneratorLimits(cpu_ratio=99, event_loop_lag_seconds=99),
    )
    tester = LoadTester(config)
    return tester.document(await tester.measure())


async def trio(url: str, slower: float, chance: random.Random) -> dict[str, list[Document]]:
    """Return five runs each of a build, of the same build, and of the slower one, in random order inside each block."""
    runs: dict[str, list[Document]] = {"A": [], "same": [], "slower": []}
    for _ in range(RUNS):
        for name in chance.sample(sorted(runs), k=len(runs)):
            runs[name].append(await run(url, slower if name == "slower" else QUERY_SECONDS))
    return runs


def answer(base: Sequence[Document], new: Sequence[Document]) -> str:
    """Return what `ab` answers about such runs; invalid where a run's generator had no time."""
    try:
        return compare_runs(base, new, Options()).answer
    except ConfigError:
        return INVALID


def by_ratio(base: Sequence[Document], new: Sequence[Document]) -> str:
    """Return what a gate of 10 % on the mean p95 says."""
    before, after = (fmean(run.summary.p95_response_time_ms for run in runs) for runs in (base, new))
    return _direction(after / before - 1 if abs(after / before - 1) > EFFECT else 0)


def by_welch(base: Sequence[Document], new: Sequence[Document]) -> str:
    """Return what Welch's test alone says of the p95, at 5 %."""
    sides = [[log(run.summary.p95_response_time_ms) for run in runs] for runs in (base, new)]
    parts = [variance(values) / RUNS for values in sides]
    freedom = sum(parts) ** 2 / sum(part**2 / (RUNS - 1) for part in parts)
    difference = fmean(sides[1]) - fmean(sides[0])
    return _direction(difference if two_sided_p(difference / sum(parts) ** 0.5, freedom) < 0.05 else 0)


def _direction(change: float) -> str:
    if not change:
        return Answer.UNKNOWN
    return Answer.WORSE if change > 0 else Answer.BETTER


RULES = {"Perfloop": answer, "a fixed ratio of 10 % of p95": by_ratio, "Welch's test alone, of p95": by_welch}


def measure(pairs: int) -> list[str]:
    """Print the table of so many pairs, and return the bars that are not met."""
    same: dict[str, Counter[str]] = {name: Counter() for name in RULES}
    slower: dict[str, Counter[str]] = {name: Counter() for name in RULES}
    with demo() as url, neighbours():
        asyncio.run(_measure(url, pairs, same, slower))
    print(f"\n| rule | {pairs} pairs of one build: changed | same | {pairs} with 10 % slower: found | same or better |")
    print("|---|---:|---:|---:|---:|")
    for name in RULES:
        changed = same[name][Answer.WORSE] + same[name][Answer.BETTER]
        wrong = slower[name][Answer.SAME] + slower[name][Answer.BETTER]
        found = slower[name][Answer.WORSE]
        print(f"| {name} | {changed / pairs:.1%} | {same[name][Answer.SAME] / pairs:.1%} ", end="")
        print(f"| {found / pairs:.1%} | {wrong / pairs:.1%} |")
    return judge(same["Perfloop"], slower["Perfloop"], pairs)


def judge(same: Counter[str], slower: Counter[str], pairs: int) -> list[str]:
    """Return the bars that the answers miss."""
    changed = same[Answer.WORSE] + same[Answer.BETTER]
    wrong = slower[Answer.SAME] + slower[Answer.BETTER]
    problems = []
    if changed > MOST_FALSE * pairs:
        problems.append(f"real runs: {changed} of {pairs} pairs of one build called changed")
    if wrong > (1 - LEAST_RIGHT) * pairs:
        problems.append(f"real runs: {wrong} of {pairs} pairs with a build 10 % slower called the same or better")
    return problems


async def _measure(url: str, pairs: int, same: dict[str, Counter[str]], slower: dict[str, Counter[str]]) -> None:
    chance = random.Random(1)
    usual = fmean([(await run(url, QUERY_SECONDS)).summary.p50_response_time_ms for _ in range(RUNS)]) / 1000
    if usual < QUERY_SECONDS:
        sys.exit(f"the demo answers after {usual:.4f} s: its queries do not wait, so no build would be slower")
    began = time.monotonic()
    for number in range(pairs):
        runs = await trio(url, QUERY_SECONDS + EFFECT * usual, chance)
        for name, rule in RULES.items():
            same[name][rule(runs["A"], runs["same"])] += 1
            slower[name][rule(runs["A"], runs["slower"])] += 1
        if number % 10 == 9:
            said = ", ".join(
                f"{what} {dict(counts['Perfloop'])}" for what, counts in (("same", same), ("slower", slower))
            )
            print(f"{number + 1} pairs in {time.monotonic() - began:.0f} s: {said}", flush=True)
