"""Noise with a known truth, for calibrating comparisons: nothing changes from one run to the next."""

from __future__ import annotations

import random
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Noise = Callable[[random.Random], Iterator[float]]

LEVEL = 100.0


def normal(spread: float) -> Noise:
    """Independent runs; `spread` is the standard deviation as a share of the level."""
    return lambda chance: (LEVEL * max(0.01, chance.gauss(1, spread)) for _ in count())


def lognormal(spread: float) -> Noise:
    """Independent runs with a long tail above."""
    return lambda chance: (LEVEL * chance.lognormvariate(0, spread) for _ in count())


def heavy_tails(spread: float) -> Noise:
    """Student's t with three degrees of freedom: most runs agree, a few are far off."""

    def draw(chance: random.Random) -> float:
        chi = sum(chance.gauss(0, 1) ** 2 for _ in range(3))
        return LEVEL * max(0.1, 1 + spread * chance.gauss(0, 1) / (chi / 3) ** 0.5)

    return lambda chance: (draw(chance) for _ in count())


def spikes(share: float, factor: float) -> Noise:
    """A share of the runs takes `factor` times as long."""
    return lambda chance: (LEVEL * chance.gauss(1, 0.01) * (factor if chance.random() < share else 1) for _ in count())


def two_modes(share: float, distance: float) -> Noise:
    """Machines of two kinds: a share of them is slower by `distance`, and within a kind runs agree to 1 %."""
    return lambda chance: (
        LEVEL * chance.gauss(1, 0.01) * (1 + (distance if chance.random() < share else 0)) for _ in count()
    )


def autocorrelated(spread: float, memory: float) -> Noise:
    """An AR(1) process: each run keeps `memory` of the deviation of the one before."""

    def draw(chance: random.Random) -> Iterator[float]:
        deviation, innovation = 0.0, spread * (1 - memory**2) ** 0.5
        while True:
            deviation = memory * deviation + chance.gauss(0, innovation)
            yield LEVEL * (1 + deviation)

    return draw


def drift(spread: float, per_run: float) -> Noise:
    """A level that rises and falls in long waves, by `per_run` from one run to the next."""

    def draw(chance: random.Random) -> Iterator[float]:
        level, direction = 0.0, 1
        while True:
            direction = -direction if abs(level) > 20 * per_run and level * direction > 0 else direction
            level += direction * per_run
            yield LEVEL * (1 + level + chance.gauss(0, spread))

    return draw


def rounded(spread: float, step: float) -> Noise:
    """A clock that counts in steps: many runs have exactly the same value."""
    return lambda chance: (max(step, round(LEVEL * chance.gauss(1, spread) / step) * step) for _ in count())


GENERATED: Mapping[str, Noise] = {
    "normal 1 %": normal(0.01),
    "normal 2 %": normal(0.02),
    "normal 2.3 %": normal(0.023),
    "normal 5 %": normal(0.05),
    "normal 10 %": normal(0.1),
    "normal 25 %": normal(0.25),
    "lognormal 20 %": lognormal(0.2),
    "heavy tails, 1 %": heavy_tails(0.01),
    "heavy tails, 4 %": heavy_tails(0.04),
    "one run in 20 takes twice as long": spikes(0.05, 2),
    "one run in 5 takes thrice as long": spikes(0.2, 3),
    "two kinds of machines, half 15 % slower": two_modes(0.5, 0.15),
    "two kinds of machines, half 60 % slower": two_modes(0.5, 0.6),
    "two kinds of machines, a fifth 30 % slower": two_modes(0.2, 0.3),
    "autocorrelated 2 %, memory 0.8": autocorrelated(0.02, 0.8),
    "drift 0.3 % a run": drift(0.01, 0.003),
    "rounded to 2 %": rounded(0.01, 2),
}
# Noise whose two groups differ though nothing changed, and nothing in them shows it, when they follow each other.
SLOW = {
    "autocorrelated 5 %, memory 0.2": autocorrelated(0.05, 0.2),
    "autocorrelated 4 %, memory 0.5": autocorrelated(0.04, 0.5),
    "autocorrelated 8 %, memory 0.5": autocorrelated(0.08, 0.5),
}


# Where five runs a side are too few for a bar that the others meet.
LIMIT = {"normal 3 %": normal(0.03)}


def generate(name: str, runs: int, seed: int = 1) -> list[float]:
    """Return so many runs of one kind of noise."""
    source = {**GENERATED, **SLOW, **LIMIT}[name](random.Random(f"{name}{seed}"))
    return [next(source) for _ in range(runs)]
