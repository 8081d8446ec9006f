"""The interval against series whose change is known."""

from __future__ import annotations

import random

import pytest

from perfloop_loadgen.compare.bootstrap import change_of


def _series(level: float, seed: int, count: int = 60) -> list[float]:
    noise = random.Random(seed)
    return [level * noise.lognormvariate(0, 0.1) for _ in range(count)]


def test_a_known_change_lies_in_the_interval():
    """A level that rose by 30 %: the interval holds 0.3 and excludes 0."""
    change = change_of(_series(1, 1), _series(1.3, 2))
    assert change.low < 0.3 < change.high
    assert change.is_certain


def test_no_change_is_rarely_significant():
    """Of a hundred pairs without a change, few intervals exclude 0: about one in twenty."""
    wrong = sum(change_of(_series(1, seed), _series(1, seed + 1000)).is_certain for seed in range(100))
    assert wrong <= 14


@pytest.mark.parametrize(("base", "new"), [([1.0] * 7, [1.0] * 9), ([0.0] * 9, [1.0] * 9)])
def test_too_little_data_has_no_change(base: list[float], new: list[float]):
    """Seven seconds, or a level of 0, have no change."""
    assert change_of(base, new) is None
