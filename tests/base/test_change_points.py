"""Changes of level over a series of results: found where they are, and in noise nowhere."""

from __future__ import annotations

import math
import random
from itertools import combinations, pairwise
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_base.change_points import BOUND, LEAST_VALUES, MOST, _cheapest_cuts, change_points, noise_of, price_of


def series(levels: list[tuple[int, float]], noise: float, seed: int) -> list[float]:
    """Return so many values of each level, with a spread of `noise` as a share."""
    chance = random.Random(seed)
    return [level * chance.lognormvariate(0, noise) for count, level in levels for _ in range(count)]


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_found_at_its_place(noise: float, seed: int):
    """Up, and down again, with the levels before and after."""
    found = change_points(series([(12, 0.100), (10, 0.130), (9, 0.090)], noise, seed))
    assert [abs(one.index - place) <= 1 for one, place in zip(found, (12, 22), strict=True)] == [True, True]
    assert [one.ratio for one in found] == pytest.approx([0.3, 0.09 / 0.13 - 1], abs=3 * noise)


def test_three_values_of_a_new_level_are_enough():
    """A change is worth hearing of before it has lasted for weeks."""
    [found] = change_points(series([(15, 0.1), (3, 0.13)], 0.02, 1))
    assert found.index == 15


@pytest.mark.parametrize("count", [6, 8, 12, 20, 40])
@pytest.mark.parametrize("noise", [0.001, 0.03, 0.1])
def test_noise_has_no_change(count: int, noise: float):
    """In at most 2 of 100 series, however short, and with whatever spread."""
    series_with_one = sum(bool(change_points(series([(count, 0.1)], noise, seed))) for seed in range(200))
    assert series_with_one <= 4


@pytest.mark.parametrize("odd", [[20], [5], [5, 6], [5, 12, 20]])
def test_odd_values_are_no_change(odd: list[int]):
    """One, or two in a row, or several, however far off."""
    values = series([(25, 0.1)], 0.02, 3)
    for place in odd:
        values[place - 1] *= 8
    assert change_points(values) == []


def test_a_change_that_matters_to_nobody_is_not_returned():
    """A step of 3% is real where results repeat well, and smaller than what was asked for."""
    values = series([(20, 0.1), (20, 0.103)], 0.003, 1)
    assert change_points(values) == []
    assert [one.index for one in change_points(values, least_ratio=0.02)] == [20]


@pytest.mark.parametrize(
    "values",
    [[], [0.1] * 5, [0.1] * 30, [0.0] * 30, [0.1] * 15 + [0.0] * 15, [math.nan] * 20, [math.inf] * 20, [-1.0] * 9],
)
def test_what_has_no_level_has_no_change(values: list[float]):
    """Too few values, equal ones, and those that have no logarithm."""
    assert change_points(values) == []


def test_of_a_long_series_the_end_is_looked_at():
    """The index is that of the whole series."""
    found = change_points(series([(MOST, 0.2), (MOST - 20, 0.1), (20, 0.2)], 0.02, 1))
    assert [one.index for one in found] == [2 * MOST - 20]


@given(st.lists(st.floats(1e-4, 10), max_size=40), st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_the_unit_does_not_matter(values: list[float], factor: float):
    """Milliseconds have the changes that seconds have."""
    scaled = change_points([value * factor for value in values])
    assert [one.index for one in scaled] == [one.index for one in change_points(values)]


def _naive(logarithms: list[float]) -> float:
    """Return the least cost of all ways to cut the series, each of them tried."""
    noise = noise_of(logarithms)

    def loss(part: list[float]) -> float:
        middle = sorted(part)[len(part) // 2]
        return sum(min(((value - middle) / noise) ** 2, BOUND**2) for value in part)

    costs = []
    for number in range(len(logarithms) // LEAST_VALUES):
        for cuts in combinations(range(1, len(logarithms)), number):
            edges = [0, *cuts, len(logarithms)]
            parts = [logarithms[start:end] for start, end in pairwise(edges)]
            if all(len(part) >= LEAST_VALUES for part in parts):
                costs.append(sum(map(loss, parts)) + number * price_of(len(logarithms)))
    return min(costs)


@given(st.lists(st.integers(0, 4), min_size=6, max_size=11))
@settings(max_examples=60, deadline=None)
def test_no_other_division_is_cheaper(steps: list[int]):
    """The division that is found costs what the cheapest of all costs."""
    logarithms = [0.01 * step * step for step in steps]
    noise = noise_of(logarithms)
    cuts = _cheapest_cuts(logarithms)
    edges = [0, *cuts, len(logarithms)]
    cost = len(cuts) * price_of(len(logarithms))
    for start, end in pairwise(edges):
        part = logarithms[start:end]
        middle = sorted(part)[len(part) // 2]
        cost += sum(min(((value - middle) / noise) ** 2, BOUND**2) for value in part)
    assert cost == pytest.approx(_naive(logarithms))


def test_the_levels_are_medians():
    """What a page shows as before and after is not moved by an odd value."""
    values = [0.1] * 10 + [0.2] * 10
    values[3] = 5.0
    [found] = change_points(values)
    assert (found.before, found.after) == (median(values[:10]), 0.2)
