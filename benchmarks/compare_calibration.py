"""How often `compare` calls something changed that did not change, and how often it finds what did.

Usage: python benchmarks/compare_calibration.py [DIRECTORY] [--pairs N]

(a) Recorded runs: DIRECTORY (else the variable VM_NOISE_DATA) holds CSV files, plain or gzip, with the columns
value,runtime,starttime,VM_id: repeated runs of one benchmark on machines of one kind, nothing changed between them (as
in the `vm-noise-data` of Microsoft's Azure Public Dataset). Generated noise with a known truth is judged in the same
way. Five runs are compared with the next five, as they are and with the second five made 10 % larger; beside Perfloop's
rule a fixed ratio of 10 % and Welch's test alone.

(b) With --pairs N: N pairs of five and five real runs of the demo service on loopback, while another process makes
noise; and as many pairs where the second five are against a build that is 10 % slower (see compare_live.py).

Bars: at most 1 % of the pairs without a change are called changed, whatever the noise; of those made 10 % larger, at
least 95 % are found where the spread (CV) of the runs is at most 3 %. In (b), a change that is not found must be a
"cannot tell".
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from math import log, log1p
from pathlib import Path
from statistics import fmean, stdev, variance
from typing import TYPE_CHECKING

import compare_live
from compare_noise import GENERATED, LIMIT, SLOW, generate

from perfloop_loadgen.compare.answers import Answer, Question, answer_to
from perfloop_loadgen.compare.difference import Difference, Side
from perfloop_loadgen.compare.student import two_sided_p

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Pair = tuple[Sequence[float], Sequence[float]]

RUNS = 5
# As many are compared by blocks.
BLOCKS = 8
EFFECT = 0.1
MIN_EFFECT = 0.05
GENERATED_RUNS = 10_000
# The bars.
MOST_FALSE, LEAST_FOUND, QUIET = 0.01, 0.95, 0.03


@dataclass(slots=True)
class Row:
    """What each rule said about the pairs of one suite and machine."""

    name: str
    spread: float
    has_bars: bool = True
    pairs: int = 0
    false: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    found: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def problems(self) -> list[str]:
        """Return the bars that Perfloop's rule misses."""
        found: list[str] = []
        if not self.has_bars:
            return found
        if self.false["perfloop"] > MOST_FALSE * self.pairs:
            found.append(f"{self.name}: {self.false['perfloop']} of {self.pairs} pairs without a change called changed")
        if self.spread <= QUIET and self.found["perfloop"] < LEAST_FOUND * self.pairs:
            found.append(f"{self.name}: +10 % found in {self.found['perfloop']} of {self.pairs} pairs")
        return found


def answer(base: Sequence[float], new: Sequence[float]) -> Answer:
    """Return what `compare` answers on the values of the runs, where more is worse; `ab` compares eight by blocks."""
    before, after = ([log(value) for value in values] for values in (base, new))
    by_blocks = len(base) >= BLOCKS
    difference = Difference.of_blocks(before, after) if by_blocks else Difference(Side.of(before), Side.of(after))
    question = Question(difference, log1p(MIN_EFFECT), log1p(MIN_EFFECT), up_is_worse=True)
    return answer_to(question, difference.p_value)


def fixed_ratio(base: Sequence[float], new: Sequence[float]) -> float:
    """Return the change by which many gates judge: of the means, when it is over 10 %, else 0."""
    ratio = fmean(new) / fmean(base) - 1
    return ratio if abs(ratio) > EFFECT else 0.0


def welch_alone(base: Sequence[float], new: Sequence[float]) -> float:
    """Return the difference of the means when Welch's test calls it significant at 5 %, else 0."""
    parts = [variance(base) / len(base), variance(new) / len(new)]
    difference = fmean(new) - fmean(base)
    if not sum(parts):
        return difference
    freedom = sum(parts) ** 2 / sum(part**2 / (len(base) - 1) for part in parts)
    return difference if two_sided_p(difference / sum(parts) ** 0.5, freedom) < 0.05 else 0.0


def judge_suite(
    name: str,
    series: Sequence[Sequence[float]],
    pairs: Callable[[Sequence[float]], Iterator[Pair]] | None = None,
    *,
    has_bars: bool = True,
) -> Row:
    """Judge every five runs and the next five, unless `pairs` makes others: without a change, and with one."""
    values = [value for one in series for value in one]
    row = Row(name, stdev(values) / fmean(values), has_bars)
    for base, new in (pair for one in series for pair in (pairs or pairs_of)(one)):
        larger = [value * (1 + EFFECT) for value in new]
        row.pairs += 1
        row.false["perfloop"] += answer(base, new) in {Answer.WORSE, Answer.BETTER}
        row.found["perfloop"] += answer(base, larger) is Answer.WORSE
        for rule in (fixed_ratio, welch_alone):
            row.false[rule.__name__] += rule(base, new) != 0
            row.found[rule.__name__] += rule(base, larger) > 0
    return row


def interleaved(values: Sequence[float], runs: int = RUNS) -> Iterator[Pair]:
    """Yield pairs as `ab` makes them: of every two runs, one at random is the base's, the other is judged."""
    chance = random.Random(1)
    for start in range(0, len(values) - 2 * runs + 1, runs):
        blocks = [chance.sample(values[at : at + 2], 2) for at in range(start, start + 2 * runs, 2)]
        yield [block[0] for block in blocks], [block[1] for block in blocks]


def pairs_of(values: Sequence[float]) -> Iterator[Pair]:
    """Yield five runs and the next five; every run is in two pairs, once as the base and once as what is judged."""
    for start in range(0, len(values) - 2 * RUNS + 1, RUNS):
        yield values[start : start + RUNS], values[start + RUNS : start + 2 * RUNS]


def read_suite(path: Path) -> list[list[float]]:
    """Return the values in the order of time: of each machine that was measured often, or of all machines together."""
    machines: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in csv.DictReader(file):
            machines[line["VM_id"]].append((line["starttime"], float(line["value"])))
    often = [runs for runs in machines.values() if len(runs) >= 2 * RUNS]
    # Where every machine is a new one, the next run is the next machine's.
    series = often or [[run for runs in machines.values() for run in runs]]
    return [[value for _, value in sorted(runs)] for runs in series]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the rows as Markdown."""
    rules = ("perfloop", "fixed_ratio", "welch_alone")
    yield (
        "| noise | spread (CV) | pairs | no change, called changed: Perfloop | fixed 10 % | Welch alone "
        "| +10 %, found: Perfloop | fixed 10 % | Welch alone |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        false = [f"{row.false[rule] / row.pairs:.2%}" for rule in rules]
        found = [f"{row.found[rule] / row.pairs:.1%}" for rule in rules]
        yield f"| {' | '.join([row.name, f'{row.spread:.1%}', str(row.pairs), *false, *found])} |"


def suites(directory: Path | None) -> Iterator[Row]:
    """Judge what was recorded, then what is generated."""
    if directory is not None:
        paths = sorted(path for path in directory.iterdir() if path.name.endswith((".csv", ".csv.gz")))
        if not paths:
            sys.exit(f"{directory} holds no .csv or .csv.gz")
        for path in paths:
            yield judge_suite(path.name.partition(".")[0], read_suite(path))
    for name in GENERATED:
        yield judge_suite(name, [generate(name, GENERATED_RUNS)])
    for name in LIMIT:
        yield judge_suite(f"{name} (no bar)", [generate(name, GENERATED_RUNS)], has_bars=False)
    for name in SLOW:
        runs = [generate(name, GENERATED_RUNS)]
        yield judge_suite(f"{name}, one group after the other (no bar)", runs, has_bars=False)
        yield judge_suite(f"{name}, interleaved as `ab` does", runs, interleaved)
        yield judge_suite(f"{name}, eight blocks of `ab`", runs, partial(interleaved, runs=BLOCKS))


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = os.environ.get("VM_NOISE_DATA")
    default = Path(known) if known else None
    parser.add_argument(
        "directory", nargs="?", type=Path, default=default, help="recorded runs; without it, generated noise alone"
    )
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="also judge N pairs of real runs (part b)")
    flags = parser.parse_args(argv)
    rows = list(suites(flags.directory))
    for line in table(rows):
        print(line)
    problems = [problem for row in rows for problem in row.problems()]
    if flags.pairs:
        problems += compare_live.measure(flags.pairs)
    for problem in problems:
        print(f"missed: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
