"""The interval of repeated runs against scipy's Student distribution, and against its own definition."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perfloop_loadgen.app.repeat import LEAST_RUNS
from perfloop_loadgen.compare.interval import MOST_RUNS, interval_of, runs_needed

_TIMES = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=40)


@given(_TIMES)
def test_it_is_students_interval_of_the_logarithms(values: list[float]):
    """The bounds are those of scipy's t distribution, taken back from the logarithms."""
    found = interval_of(values)
    assert found is not None
    logs = np.log(values)
    error = stats.sem(logs)
    low, high = stats.t.interval(0.95, len(logs) - 1, loc=logs.mean(), scale=error) if error else (logs.mean(),) * 2
    assert found.low == pytest.approx(math.exp(low), rel=1e-6)
    assert found.high == pytest.approx(math.exp(high), rel=1e-6)
    assert found.half_width_ratio == pytest.approx(found.high / found.center - 1)


@pytest.mark.parametrize("values", [[], [0.2], [0.2, 0.0]])
def test_too_little_has_no_interval(values: list[float]):
    """One run has no spread, and a time of zero no logarithm."""
    assert interval_of(values) is None


@given(st.floats(0.001, 1), st.floats(0.01, 0.5))
def test_the_runs_needed_are_the_fewest(spread: float, ratio: float):
    """So many are enough, one less is not."""
    needed = runs_needed(spread, ratio)

    def half_width(runs: int) -> float:
        return math.expm1(stats.t.ppf(0.975, runs - 1) * spread / math.sqrt(runs))

    if needed is None:
        assert half_width(MOST_RUNS) > ratio
    else:
        assert half_width(needed) <= ratio * (1 + 1e-6)
        assert needed == 2 or half_width(needed - 1) > ratio * (1 - 1e-6)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of 600 experiments of six runs each that vary by 10 %, 95 in a hundred have the true mean inside."""
    chance = random.Random(7)
    held = 0
    for _ in range(600):
        found = interval_of([0.2 * chance.lognormvariate(0, 0.1) for _ in range(6)])
        assert found is not None
        held += found.low <= 0.2 <= found.high
    assert 0.92 <= held / 600 <= 0.98


def test_to_stop_at_the_first_narrow_interval_costs_little():
    """Of 400 experiments that look after each run, with as many runs at least as are made, 91 in a hundred hold."""
    chance = random.Random(11)
    held = 0
    for _ in range(400):
        values = [chance.lognormvariate(0, 0.05) for _ in range(LEAST_RUNS)]
        while (found := interval_of(values)) is not None and found.half_width_ratio > 0.05:
            values.append(chance.lognormvariate(0, 0.05))
        assert found is not None
        held += found.low <= 1 <= found.high
    assert held / 400 >= 0.91
