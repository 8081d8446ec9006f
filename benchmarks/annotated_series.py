"""Seeded series of the character that people annotate, with the changes in them and five simulated annotators.

Kinds follow what the Turing change point data set names: rivers, well logs, national accounts, prices, passengers and
registrations with seasons, image lines, registers that hardly move. Lengths run from 15 points to some hundred. Each
simulated annotator overlooks a change now and then and places it a point or two beside.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from segmentation_scores import Annotated

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

    Made = tuple[np.ndarray, list[int]]

ANNOTATORS = 5
OVERLOOKED = 0.2  # of the changes, by one annotator
BESIDE = 1.0  # points, standard deviation


def annotate(truth: list[int], points: int, rng: Generator) -> list[list[int]]:
    """Return what five people mark of the changes that are there."""
    marked = []
    for _ in range(ANNOTATORS):
        seen = [at for at in truth if rng.random() >= OVERLOOKED]
        marked.append(sorted({int(np.clip(at + round(BESIDE * rng.standard_normal()), 1, points - 1)) for at in seen}))
    return marked


def make_annotated(kind: str, count: int, rng: Generator) -> list[Annotated]:
    """Return series of one kind of `KINDS`."""
    made = []
    for number in range(count):
        values, truth = KINDS[kind](rng)
        made.append(Annotated(f"{kind} {number}", values, annotate(truth, len(values), rng)))
    return made


def correlated(points: int, rho: float, rng: Generator) -> np.ndarray:
    """Return noise of standard deviation 1 that remembers: first-order autoregressive."""
    noise = rng.standard_normal(points)
    for at in range(1, points):
        noise[at] = rho * noise[at - 1] + np.sqrt(1 - rho**2) * noise[at]
    return noise


def places(points: int, count: int, apart: int, rng: Generator) -> list[int]:
    """Return `count` places, or none where they do not fit, `apart` points from each other and from the ends."""
    for _ in range(50):
        chosen = sorted(int(at) for at in rng.integers(apart, points - apart, count)) if points > 2 * apart else []
        if all(b - a >= apart for a, b in itertools.pairwise(chosen)):
            return chosen
    return []


def steps_at(points: int, where: list[int], low: float, high: float, rng: Generator) -> np.ndarray:
    """Return a level that steps by `low` to `high` in either direction at each place."""
    level = np.zeros(points)
    for at in where:
        level[at:] += rng.uniform(low, high) * rng.choice((-1.0, 1.0))
    return level


def slopes_at(points: int, where: list[int], slopes: list[float]) -> np.ndarray:
    """Return a line whose slope changes at each place; one slope more than places."""
    slope = np.repeat(slopes, np.diff([0, *where, points]))
    return np.concatenate([[0.0], np.cumsum(slope)[:-1]])


def river(rng: Generator) -> Made:
    """A yearly volume: one step of 1.5 to 3 sigma in noise with little memory."""
    points = int(rng.integers(60, 150))
    where = places(points, 1, 15, rng)
    return steps_at(points, where, 1.5, 3.0, rng) + correlated(points, rng.uniform(0.1, 0.4), rng), where


def control_chart(rng: Generator) -> Made:
    """A process under control, with 0 to 4 steps of 1.5 to 5 sigma."""
    points = int(rng.integers(200, 400))
    where = places(points, int(rng.integers(0, 5)), 20, rng)
    return steps_at(points, where, 1.5, 5.0, rng) + rng.standard_normal(points), where


def well_log(rng: Generator) -> Made:
    """Rock strata: 5 to 10 steps, heavy-tailed noise with memory, strata that wander, bursts of outliers."""
    points = int(rng.integers(500, 800))
    where = places(points, int(rng.integers(5, 11)), 20, rng)
    noise = correlated(points, rng.uniform(0.2, 0.6), rng) + 0.5 * rng.standard_t(3, points)
    values = steps_at(points, where, 3.0, 10.0, rng) + noise + correlated(points, 0.98, rng)
    for at in rng.integers(5, points - 5, int(points * 0.01)):
        values[at : at + int(rng.integers(1, 6))] += rng.uniform(5.0, 20.0) * rng.choice((-1.0, -1.0, -1.0, 1.0))
    return values, where


def scan_line(rng: Generator) -> Made:
    """One line of a picture: areas of three grey tones in whole numbers, some of them textured."""
    points = int(rng.integers(300, 500))
    where = places(points, int(rng.integers(3, 9)), 15, rng)
    tones = rng.permutation([40.0, 90.0, 160.0])
    level = np.repeat(tones[np.arange(len(where) + 1) % 3], np.diff([0, *where, points]))
    texture = np.repeat(rng.uniform(2.0, 10.0, len(where) + 1), np.diff([0, *where, points]))
    return np.round(level + texture * correlated(points, 0.6, rng)), where


def accounts(rng: Generator) -> Made:
    """National accounts of a year each: growth that bends 0 to 3 times, at times with a fall."""
    points = int(rng.integers(40, 70))
    where = places(points, int(rng.integers(0, 4)), 8, rng)
    slopes = [rng.uniform(0.5, 1.5)]
    for _ in where:
        slopes.append(slopes[-1] + rng.choice((-1.0, 1.0)) * rng.uniform(1.5, 3.0))
    walk = 0.4 * np.cumsum(rng.standard_t(4, points)) + 0.3 * rng.standard_normal(points)
    fall = np.zeros(points)
    for at in where:
        if rng.random() < 0.4:
            fall[at:] -= rng.uniform(4.0, 8.0)
    return 50.0 + slopes_at(points, where, slopes) + walk + fall, where


def growth(rng: Generator) -> Made:
    """A population: smooth growth, linear, exponential or saturating, and no change."""
    points = int(rng.integers(40, 250))
    clock = np.linspace(0.0, 1.0, points)
    shape = (clock, np.expm1(rng.uniform(1.0, 2.5) * clock), 1 / (1 + np.exp(-8 * (clock - 0.5))))[rng.integers(0, 3)]
    shape = shape / shape.std()
    noise = correlated(points, rng.choice((0.3, 0.6, 0.95)), rng)
    return 100.0 + rng.choice((-1.0, 1.0)) * shape + rng.uniform(0.02, 0.2) * noise, []


def register(rng: Generator) -> Made:
    """A count that stands still for long and then falls or rises, in whole numbers."""
    points = int(rng.integers(20, 80))
    where = places(points, int(rng.integers(1, 3)), 6, rng)
    slopes = [0.0 if number % 2 == 0 else float(rng.choice((-1.0, 1.0)) * rng.uniform(1.0, 4.0)) for number in range(3)]
    return np.round(
        100.0 + slopes_at(points, where, slopes[: len(where) + 1]) + 0.5 * rng.standard_normal(points)
    ), where


def price(rng: Generator) -> Made:
    """A daily price: a random walk whose volatility wanders, with 0 to 3 jumps or a boom's begin."""
    points = int(rng.integers(400, 800))
    where = places(points, int(rng.integers(0, 4)), 40, rng)
    moves = rng.standard_t(5, points) * np.exp(0.4 * correlated(points, 0.97, rng))
    for at in where:
        if rng.random() < 0.5:
            moves[at] += rng.choice((-1.0, 1.0)) * rng.uniform(15.0, 30.0)
        else:
            end = min(points, at + 100)
            moves[at:end] = 2.0 * moves[at:end] + rng.choice((-1.0, 1.0)) * 0.6
    return 500.0 + np.cumsum(moves), where


def passengers(rng: Generator) -> Made:
    """A monthly count with a season that grows with its level, a drift, and 0 to 2 steps."""
    points = int(rng.integers(150, 470))
    where = places(points, int(rng.integers(0, 3)), 24, rng)
    drift = rng.uniform(-2.0, 4.0) * np.linspace(0.0, 1.0, points)
    level = 10.0 + drift + steps_at(points, where, 1.5, 3.0, rng)
    clock = np.arange(points)
    season = 0.08 * rng.standard_normal(12)[clock % 12] + 0.06 * rng.standard_normal(12)[clock % 12] * clock / points
    return level * (1.0 + season) + 0.4 * correlated(points, 0.5, rng), where


def drift_and_step(rng: Generator) -> Made:
    """A slow rise over all the time, and one or two steps on it."""
    points = int(rng.integers(80, 300))
    where = places(points, int(rng.integers(1, 3)), 20, rng)
    drift = rng.choice((-1.0, 1.0)) * rng.uniform(3.0, 10.0) * np.linspace(0.0, 1.0, points)
    return drift + steps_at(points, where, 3.0, 6.0, rng) + correlated(points, rng.uniform(0.0, 0.4), rng), where


def unrest(rng: Generator) -> Made:
    """A level that stays while its noise grows three to six times."""
    points = int(rng.integers(200, 400))
    where = places(points, 1, 50, rng)
    width = np.repeat([1.0, rng.uniform(3.0, 6.0)], np.diff([0, *where, points]))
    return 50.0 + width * rng.standard_normal(points), where


def short(rng: Generator) -> Made:
    """Fifteen to thirty points with a clear step."""
    points = int(rng.integers(15, 30))
    where = places(points, 1, 5, rng)
    return steps_at(points, where, 4.0, 8.0, rng) + rng.standard_normal(points), where


def holes(rng: Generator) -> Made:
    """Steps of 2 to 4 sigma in a series of which a tenth is missing."""
    points = int(rng.integers(80, 250))
    where = places(points, int(rng.integers(1, 3)), 20, rng)
    values = steps_at(points, where, 2.0, 4.0, rng) + correlated(points, 0.2, rng)
    for begin in rng.integers(0, points - 8, points // 40):
        values[begin : begin + int(rng.integers(1, 8))] = np.nan
    return values, where


KINDS: dict[str, Callable[[Generator], Made]] = {
    "river": river,
    "control chart": control_chart,
    "well log": well_log,
    "scan line": scan_line,
    "accounts": accounts,
    "growth": growth,
    "register": register,
    "price": price,
    "passengers": passengers,
    "drift and step": drift_and_step,
    "unrest": unrest,
    "short": short,
    "holes": holes,
}
