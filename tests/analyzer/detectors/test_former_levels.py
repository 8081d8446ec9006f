"""Levels that a series had before, against a naive loop and against series whose levels are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.detectors.former_levels import (
    LEAST_BLOCKS,
    MOST_LENGTHS,
    REACHED,
    chance_before,
    learn_levels,
    nothing_known,
)

STEP = 600.0


def _naive_chance(values: np.ndarray, size: int, height: float) -> float:
    """Return the probability of a block as high, by a loop; NaN is a gap."""
    blocks = []
    for end in range(len(values), size - 1, -size):
        block = [value for value in values[end - size : end] if math.isfinite(value)]
        if len(block) >= size / 2:
            blocks.append(sum(block) / len(block))
    if len(blocks) < LEAST_BLOCKS:
        return math.nan
    middle = float(np.median(blocks))
    above = [block - middle for block in blocks if block > middle]
    if height <= middle:
        return 1.0
    excess = sum(above) / len(above) if above else 0.0
    chance = 0.5 * math.exp(-(height - middle) / excess) if excess > 0 else 0.0
    reached = max(REACHED, math.ceil(0.01 * (len(values) // size)))
    if len(values) // size >= 2 * reached and sum(block >= height for block in blocks) >= reached:
        return max(chance, reached / (len(values) // size))
    return chance


@given(
    st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=LEAST_BLOCKS, max_size=90),
    st.integers(0, MOST_LENGTHS - 1),
    st.floats(-6, 6),
)
def test_chances_agree_with_a_loop(row: list[float], power: int, height: float) -> None:
    """Blocks, gaps, median and excess are what a loop finds, at the longest known length."""
    values = np.array(row)
    lengths = [2**number for number in range(power + 1)]
    oracle = next((p for size in lengths[::-1] if not math.isnan(p := _naive_chance(values, size, height))), math.nan)
    levels = learn_levels(np.stack([values, values]), STEP)
    assert levels.chance(1, 2**power * STEP, height) == pytest.approx(oracle, nan_ok=True)


def test_a_level_that_recurs_is_known_and_a_new_one_is_not() -> None:
    """Load in phases of hours makes neither phase a surprise, and nothing beyond them usual."""
    rng = np.random.default_rng(1)
    phases = np.repeat([0.0, 0.0, 3.0, 0.0, 3.0, 3.0], 18)
    week = np.tile(phases, 9)[None, :] + 0.3 * rng.standard_normal((1, 972))
    levels = learn_levels(week, STEP)
    for hours in (0.2, 1.0, 3.0):
        assert levels.chance(0, 3600.0 * hours, 3.0) > 0.1
        assert levels.chance(0, 3600.0 * hours, 12.0) < 0.01
    assert chance_before(week[0], 6, 3.0) > 0.1
    assert chance_before(week[0], 6, 12.0) < 0.01


def test_a_step_that_the_history_has_seen_itself_stays_one() -> None:
    """Two hours of a new level within a week do not make it usual."""
    week = np.random.default_rng(2).standard_normal((1, 1008))
    week[0, -12:] += 20.0
    assert learn_levels(week, STEP).chance(0, 3600.0, 20.0) < 1e-3


def test_little_data_says_nothing() -> None:
    """Neither a series that just began nor one that the history does not know has former levels."""
    assert math.isnan(learn_levels(np.zeros((1, LEAST_BLOCKS - 1)), STEP).chance(0, STEP, 1.0))
    assert math.isnan(learn_levels(np.zeros((1, 100)), STEP).chance(-1, STEP, 1.0))
    assert math.isnan(nothing_known().chance(0, STEP, 1.0))
    assert math.isnan(chance_before(np.zeros(LEAST_BLOCKS - 1), 10, 1.0))


def test_a_still_series_had_one_level() -> None:
    """Any level above that of a series without noise is new."""
    levels = learn_levels(np.ones((1, 100)), STEP)
    assert levels.chance(0, STEP, 1.0) == 1.0
    assert levels.chance(0, STEP, 1.1) == 0.0
