"""Limits from days of use: how much smaller they are than the size, and how often the week after needs more.

Usage: python benchmarks/waste.py [--size 100] [--seed 1] [FILE.csv …]

Each file is one machine's or container's use as CSV with the columns `timestamp` and `value`, such as the CPU
utilisation of NAB's realAWSCloudwatch in percent, where the size is 100. Without files sixty series are generated: four
weeks with a rhythm of days and weeks, bursts, and in a third of them growth. At every half day with at least one day of
past, each rule reads the past (seven days at most) and gives a limit; the week after then shows whether it is exceeded.

The rules: this project's; KRR's (robusta-dev/krr, simple strategy: for CPU the 95th percentile of the use, for memory
the peak + 15%), and the Vertical Pod Autoscaler's target and upper bound as kubernetes/autoscaler documents them. KRR's
and the VPA's are requests: where a limit is set to them it is what is measured here. Bar: no rule's limit is exceeded
for less of the time.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.recommend.rightsizing import cpu_request, memory_request, vertical_sizing
from perfloop_analyzer.series import Batch, Grid
from perfloop_analyzer.waste import learn_uses
from perfloop_analyzer.waste.sizing import FIRST_BUCKET, limit_need, round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from perfloop_analyzer.series import Floats

DAY, HALF_DAY, STEP = 86_400.0, 43_200.0, 600.0
PAST_DAYS, AHEAD_DAYS = 7.0, 7.0
WEEKS, GENERATED = 4, 60
OURS = "perfloop"
MOST_POINTS = round(PAST_DAYS * DAY / STEP)


@dataclass
class Score:
    """What one rule gave: the limits as shares of the size, and of the moments after each the share above it."""

    limits: list[float] = field(default_factory=list)
    above: list[float] = field(default_factory=list)

    def words(self) -> str:
        """The row of the table."""
        exceeded = float(np.mean([share > 0 for share in self.above]))
        less, usual = 1 - np.mean(self.limits), np.median(self.limits)
        return f"{less:8.0%} {usual:8.1%} {exceeded:10.1%} {self.time_above:12.3%}"

    @property
    def time_above(self) -> float:
        """The share of all moments that needed more than the limit."""
        return float(np.mean(self.above))


def read(path: Path) -> Floats:
    """Return the highest value of each ten minutes, NaN where there is none, shape (points,)."""
    with path.open(newline="") as file:
        rows = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(file)]
    times = np.array([datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() for text, _ in rows])
    steps = ((times - times.min()) // STEP).astype(int)
    values = np.full(steps.max() + 1, np.nan)
    np.fmax.at(values, steps, np.array([value for _, value in rows]))
    return values


def by_ours(past: Floats, size: float) -> float:
    """The limit of `waste_container_cpu` and `waste_container_memory`."""
    batch = Batch("use", Grid(0.0, STEP, len(past)), ({"service": "x"},), past[None, :])
    use = learn_uses({"use": batch}, {"use": ("service",)}, frozenset())["use"][("x",)]
    return round_up(limit_need(use, size).size)


def by_vpa(past: Floats, size: float, *, upper: bool) -> float:
    """The target or the upper bound, of one sample a minute as the VPA takes them."""
    each = np.repeat(past, round(STEP / 60.0))
    sizing = vertical_sizing(each, 60.0 * np.arange(len(each))[::-1], size * FIRST_BUCKET)
    return sizing.upper if upper else sizing.target


RULES: dict[str, Callable[[Floats, float], float]] = {
    OURS: by_ours,
    "KRR, CPU (95th percentile)": lambda past, _: cpu_request(past),
    "KRR, memory (peak + 15%)": lambda past, _: memory_request(float(np.nanmax(past))),
    "VPA, target": lambda past, size: by_vpa(past, size, upper=False),
    "VPA, upper bound": lambda past, size: by_vpa(past, size, upper=True),
}


def decisions(values: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield the past and the week after of every half day that has a day of past and a day of future."""
    day, half = round(DAY / STEP), round(HALF_DAY / STEP)
    for at in range(day, len(values) - day, half):
        past, ahead = values[max(0, at - MOST_POINTS) : at], values[at : at + round(AHEAD_DAYS * DAY / STEP)]
        if np.isfinite(past).sum() >= day // 2 and np.isfinite(ahead).any():
            yield past, ahead[np.isfinite(ahead)]


def generate(seed: int) -> list[Floats]:
    """Return generated uses in percent of a size, each of the shape (points,), a point each ten minutes."""
    rng = np.random.default_rng(seed)
    times = STEP * np.arange(round(WEEKS * 7 * DAY / STEP))
    found = []
    for number in range(GENERATED):
        day = 1.0 + rng.uniform(0, 0.6) * np.sin(2 * np.pi * (times / DAY + rng.random()))
        week = np.where((times // DAY) % 7 < 5, 1.0, rng.uniform(0.4, 1.0))
        noise = np.exp(rng.uniform(0.02, 0.2) * rng.standard_normal(len(times)))
        bursts = 1.0 + (rng.random(len(times)) < 1 / 300) * rng.pareto(3.0, len(times))
        growth = 1.0 + (rng.uniform(0.01, 0.03) * times / DAY if number % 3 == 0 else 0.0)
        found.append(rng.uniform(2.0, 20.0) * day * week * noise * bursts * growth)
    return found


def main() -> int:
    """Print one row for each rule; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.csv")
    parser.add_argument("--size", type=float, default=100.0, help="the size now, in the unit of the values")
    parser.add_argument("--seed", type=int, default=1, help="of the generated series")
    given = parser.parse_args()
    series = [read(path) for path in given.files] or generate(given.seed)
    scores = {name: Score() for name in RULES}
    for past, ahead in (one for values in series for one in decisions(values)):
        for name, rule in RULES.items():
            limit = min(rule(past, given.size), given.size)
            scores[name].limits.append(limit / given.size)
            # At the size nothing was taken away.
            scores[name].above.append(float((ahead > limit).mean()) if limit < given.size else 0.0)
    count = len(scores[OURS].limits)
    print(f"{len(series)} series, {count} decisions, each judged by up to {AHEAD_DAYS:g} days after it")
    print(f"{'rule':30s} {'less':>8s} {'limit':>8s} {'exceeded':>10s} {'time above':>12s}")
    for name, score in scores.items():
        print(f"{name:30s} {score.words()}")
    best = min(score.time_above for score in scores.values())
    return 0 if scores[OURS].time_above <= best else 1


if __name__ == "__main__":
    sys.exit(main())
