"""Verdicts about changes: how often a change that did nothing is called validated, and how often a real one is found.

Usage: python benchmarks/analyzer_validation.py [--trials 100] [--seed 15 | --random]

Each trial goes the service's own way: a recommendation in the store, marked as implemented, and the follow-up that
queries a source of simulated series every five windows until it concludes. The metric has 10% noise with the memory
that is named; trouble doubles it, and a gain of 25 to 50% is promised. Beside the verdicts stand three peers on the
same windows before the change and ten after it: Welch's t-test and Mann & Whitney's U at 5%, and Kayenta's rule (U at
98%, the interval of the shift beyond a quarter of itself).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest, mannwhitneyu, ttest_ind

from perfloop_analyzer.catalog import Signal
from perfloop_analyzer.followup import LOAD, FollowUp
from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.recommend import Improvement, Recommendation
from perfloop_analyzer.series import Batch, Floats, Grid
from perfloop_analyzer.store import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MINUTE = 60.0
START = 1_700_000_040.0
CHANGED = 300  # windows of history before the change
LENGTH = 400
NOISE = 0.1
METRIC = "latency"
CATALOG = {
    METRIC: Signal(name=METRIC, expr="m", component="api", kind="red", title="Latency"),
    LOAD: Signal(name=LOAD, expr="r", component="api", kind="red"),
}
PROMISE = Improvement(0.5, 0.25, 0.5, METRIC, "return_to_expected", "the level before")
A_A, POWER = 0.02, 0.9


@dataclass(frozen=True, slots=True)
class Case:
    """One simulated change, in windows since START; series of the shape (LENGTH,)."""

    metric: Floats
    since: int
    until: int
    load: Floats
    other: Floats


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of case, how it is made, and the bar: at most, or at least, this share of these verdicts."""

    name: str
    make: Callable[[np.random.Generator], Case]
    verdicts: tuple[str, ...] = ("validated",)
    most: float | None = None
    least: float | None = None


def remembering(rng: np.random.Generator, memory: float, points: int = LENGTH) -> Floats:
    """Return an autoregression of first order with variance 1, shape (points,)."""
    noise: Floats = rng.standard_normal(points)
    for at in range(1, points):
        noise[at] = memory * noise[at - 1] + np.sqrt(1 - memory**2) * noise[at]
    return noise


def walking(rng: np.random.Generator) -> Floats:
    """Return a random walk of logarithms, 2% a window, under sampling noise of 5%."""
    return np.asarray(np.exp(0.02 * np.cumsum(rng.standard_normal(LENGTH)) + 0.05 * rng.standard_normal(LENGTH)))


def seasonal(rng: np.random.Generator) -> Floats:
    """Return a season of two hours that swings by 30%, under noise of 10%."""
    swing = np.sin(2 * np.pi * (np.arange(LENGTH) / 120 + rng.random()))
    return np.asarray(np.exp(0.3 * swing + NOISE * rng.standard_normal(LENGTH)))


def bursting(rng: np.random.Generator) -> Floats:
    """Return bursts to the fourfold in a sixth of the windows, five windows long on average."""
    draws, is_high, states = rng.random(LENGTH), False, np.empty(LENGTH)
    for at, draw in enumerate(draws):
        is_high = draw < (0.8 if is_high else 0.04)
        states[at] = is_high
    return np.asarray(np.exp(np.log(4.0) * states + NOISE * rng.standard_normal(LENGTH)))


def noisy(memory: float) -> Callable[[np.random.Generator], Floats]:
    """Return a maker of steady series with such a memory."""
    return lambda rng: 1.0 + NOISE * remembering(rng, memory)


def nothing(base: Callable[[np.random.Generator], Floats]) -> Callable[[np.random.Generator], Case]:
    """Return a maker of changes that do nothing to trouble of thirty windows that is none."""
    return lambda rng: _case(rng, base(rng), since=CHANGED - 31)


def chosen(base: Callable[[np.random.Generator], Floats]) -> Callable[[np.random.Generator], Case]:
    """Return a maker of changes at the worst moment: after the five highest windows in a row of two hundred."""

    def make(rng: np.random.Generator) -> Case:
        values = base(rng)
        height = np.convolve(values, np.ones(5), mode="valid")[80:280]
        return _case(rng, np.roll(values, CHANGED - (int(np.argmax(height)) + 85)), since=CHANGED - 6)

    return make


def troubled(  # noqa: PLR0913 - a case is what moves
    memory: float, left: float, *, acts: int = 0, unseen: int = 0, load: float = 1.0, other: float = 1.0
) -> Callable[[np.random.Generator], Case]:
    """Return a maker of trouble that doubles the metric for thirty windows and then leaves this share of it.

    `acts` windows after the change (before it when negative) the metric falls; the load and the other service go to
    these shares of theirs at the change.
    """

    def make(rng: np.random.Generator) -> Case:
        level = np.ones(LENGTH)
        level[CHANGED - 30 + min(0, acts) :] = 2.0
        level[CHANGED + 1 + acts :] *= left
        moved = np.where(np.arange(LENGTH) > CHANGED, load, 1.0)
        case = _case(rng, level * noisy(memory)(rng), since=CHANGED - 31 + min(0, acts), until=CHANGED - unseen)
        beside = np.where(np.arange(LENGTH) > CHANGED, other, 1.0)
        return Case(case.metric, case.since, case.until, case.load * moved, case.other * beside)

    return make


def _case(rng: np.random.Generator, metric: Floats, since: int, until: int = CHANGED) -> Case:
    load, other = 100.0 * (1.0 + 0.03 * remembering(rng, 0.5)), noisy(0.5)(rng)
    return Case(np.maximum(metric, 0.01), since, until, load, other)


def kinds() -> list[Kind]:
    """Return every kind with its bar."""
    quiet = {f"memory {memory:g}": noisy(memory) for memory in (0.0, 0.5, 0.8, 0.95)}
    moving = {"random walk": walking, "season of 2 h": seasonal, "bursts": bursting}
    nots = [Kind(f"nothing, {name}", nothing(base), most=A_A) for name, base in (quiet | moving).items()]
    picked = {name: base for name, base in (quiet | moving).items() if name != "random walk"}
    nots += [Kind(f"nothing, at the worst moment, {name}", chosen(base), most=A_A) for name, base in picked.items()]
    healed = [
        Kind(f"healed {ago} windows before", troubled(0.5, 0.5, acts=-ago, unseen=unseen), most=0.0)
        for ago, unseen in ((4, 0), (10, 9), (25, 24), (40, 39))
    ]
    return [
        *nots,
        *healed,
        Kind("healed 5 windows after", troubled(0.5, 0.5, acts=5), most=A_A),
        *[
            Kind(f"{gain:.0%} gain, memory {memory:g}", troubled(memory, 1 - gain), least=least)
            for memory in (0.5, 0.8)
            for gain, least in ((0.1, None), (0.3, POWER), (0.5, POWER))
        ],
        Kind("30% gain, marked 1 window late", troubled(0.5, 0.7, acts=-1), least=POWER),
        Kind("30% gain, load up as answers allow", troubled(0.5, 0.7, load=1.35), least=POWER),
        Kind("load doubles, no gain", troubled(0.5, 1.0, load=2.0), ("confounded", "inconclusive"), least=POWER),
        Kind("load doubles, 30% gain", troubled(0.5, 0.7, load=2.0), ("confounded", "inconclusive"), least=POWER),
        Kind("load halves, metric too", troubled(0.5, 0.5, load=0.5), ("confounded",), least=POWER),
        Kind("all services 40% better", troubled(0.5, 0.6, other=0.6), ("confounded",), least=POWER),
        Kind("the wrong thing changed", troubled(0.5, 1.0), ("refuted", "inconclusive"), least=1 - A_A),
    ]


class Simulated:
    """A source that knows one case."""

    def __init__(self, case: Case) -> None:
        self.case = case

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Return the metric of two services and the load of one."""
        places = np.clip(np.round((grid.times() - START) / MINUTE).astype(int), 0, LENGTH - 1)
        known = {METRIC: np.stack([self.case.metric, self.case.other]), LOAD: self.case.load[None, :]}
        labels = ({"service": "shop"}, {"service": "mail"})
        return Responses(
            {
                q.signal: Batch(q.signal, grid, labels[: len(known[q.signal])], known[q.signal][:, places])
                for q in queries
            },
            {},
        )

    async def scrape_interval(self) -> float | None:
        """Return nothing."""


async def conclude(case: Case) -> tuple[str, int, dict[str, Any] | None]:
    """Return the state in which a case ends, after how many windows, and what was measured."""
    database = Database("sqlite://")
    evidence = {"signal": METRIC, "labels": {"service": "shop"}, "onset": START + MINUTE * case.since}
    advice = Recommendation(
        "fix-1", "fix", "shop", "api", "api", "high", "Fix", "fix", "low", "none", (METRIC,), (evidence,), (), PROMISE
    )
    database.merge([advice], START + MINUTE * case.until)
    database.transition(advice.id, "implement", START + MINUTE * CHANGED)
    follow = FollowUp(Simulated(case), database)
    for passed in range(1, 91, 5):
        await follow.measure(CATALOG, "1m", START + MINUTE * (CHANGED + passed))
        (one,) = database.recommendations()
        if one.state != "implemented":
            database.close()
            return one.state, passed, one.values.get("measured")
    database.close()
    return "implemented", LENGTH, None


def peers(case: Case) -> dict[str, bool]:
    """Return which simple tests call the change an improvement."""
    before, after = case.metric[case.since + 1 : case.until + 1], case.metric[CHANGED + 2 : CHANGED + 12]
    is_less = float(np.median(after)) < float(np.median(before))
    u_test = float(mannwhitneyu(before, after).pvalue)
    shifts = np.sort((after[:, None] - before[None, :]).ravel())
    count = len(shifts)
    reach = 2.326 * np.sqrt(count * (len(before) + len(after) + 1) / 12)
    high = shifts[min(count - 1, int(np.ceil(count / 2 + reach)))]
    return {
        "Welch": is_less and float(ttest_ind(before, after, equal_var=False).pvalue) < 0.05,
        "U": is_less and u_test < 0.05,
        "Kayenta": bool(u_test < 0.02 and high < -0.25 * abs(float(np.median(shifts)))),
    }


def measure(kind: Kind, trials: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return how often each verdict was given, the peers' findings, and whether the bar holds."""
    states: Counter[str] = Counter()
    found: Counter[str] = Counter()
    first = 0
    for _ in range(trials):
        case = kind.make(rng)
        state, windows, _measured = asyncio.run(conclude(case))
        states[state] += 1
        first += state in kind.verdicts and windows <= 15
        found.update(name for name, yes in peers(case).items() if yes)
    hits = sum(states[state] for state in kind.verdicts)
    # A share is beyond its bar when chance alone, at the bar, explains it in one run of a hundred at most.
    missed = (kind.most is not None and binomtest(hits, trials, kind.most, "greater").pvalue < 0.01) or (
        kind.least is not None
        and binomtest(first if kind.verdicts == ("validated",) else hits, trials, kind.least, "less").pvalue < 0.01
    )
    shares = {name: found[name] / trials for name in ("Welch", "U", "Kayenta")}
    return {"kind": kind.name, "states": dict(states), "hits": hits, "first": first, "peers": shares, "missed": missed}


def main() -> int:
    """Print one line for each kind and a JSON summary; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--random", action="store_true", help="take another seed each time")
    parser.add_argument("--only", default="", help="only kinds whose name contains this")
    arguments = parser.parse_args()
    seed = secrets.randbelow(2**31) if arguments.random else arguments.seed
    print(f"seed {seed}, {arguments.trials} trials a kind; (Welch, U, Kayenta) = shares they call improved")
    results = []
    for kind in (one for one in kinds() if arguments.only in one.name):
        row = measure(kind, arguments.trials, np.random.default_rng((seed, zlib.crc32(kind.name.encode()))))
        results.append((kind, row))
        bar = (
            f"<= {kind.most:.0%}"
            if kind.most is not None
            else f">= {kind.least:.0%}{' at once' if kind.verdicts == ('validated',) else ''}"
            if kind.least
            else "none"
        )
        states = ", ".join(f"{state} {n / arguments.trials:.1%}" for state, n in sorted(row["states"].items()))
        beside = " ".join(f"{share:.0%}" for share in row["peers"].values())
        mark = "MISSED" if row["missed"] else "ok"
        print(f"{kind.name:44} {'/'.join(kind.verdicts)} {bar}: {mark}; at once {row['first'] / arguments.trials:.1%}; "
              f"{states} ({beside})", flush=True)  # fmt: skip
    quiet = [row for kind, row in results if kind.name.startswith("nothing, memory")]
    together = sum(row["hits"] for row in quiet) / max(1, len(quiet) * arguments.trials)
    print(f"nothing, every memory together: validated {together:.2%} (bar {A_A:.0%})")
    missed = [kind.name for kind, row in results if row["missed"]] + (["together"] if together > A_A else [])
    print(json.dumps({"seed": seed, "together": together, "missed": missed}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
