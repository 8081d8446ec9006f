"""The difference of two groups of runs against scipy's Welch test."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from perfloop_loadgen.compare.difference import Difference, Side

RUNS = st.lists(st.floats(-5, 5), min_size=2, max_size=12)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy, of values that are nearly the same
@given(RUNS, RUNS)
def test_it_is_welchs_test(base: list[float], new: list[float]):
    """The same p-value, and the same interval."""
    found = Difference(Side.of(base), Side.of(new))
    assume(found.standard_error > 1e-6)
    expected = stats.ttest_ind(new, base, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    low, high = expected.confidence_interval(0.9)
    assert found.interval(0.9) == (pytest.approx(low, rel=1e-5, abs=1e-7), pytest.approx(high, rel=1e-5, abs=1e-7))


def test_one_run_has_no_variation_that_is_known():
    """Whatever the values: no p-value below 1, and an endless interval."""
    found = Difference(Side.of([1.0]), Side.of([5.0, 5.1, 5.2]))
    assert found.p_value == 1
    assert found.interval(0.9) == (-math.inf, math.inf)


def test_the_noise_of_the_machine_stands_in():
    """A known variance makes a single run comparable; a larger variance of the runs' own is kept."""
    noise = 0.01
    single = Difference(Side.of([1.0]).with_noise(noise, 9), Side.of([2.0]).with_noise(noise, 9))
    assert single.standard_error == pytest.approx(math.sqrt(2 * noise))
    assert Side.of([1.0, 3.0]).with_noise(noise, 9) == Side.of([1.0, 3.0])
    assert Side.of([1.0, 1.0]).with_noise(noise, 9).variance == noise


@pytest.mark.parametrize(("new", "p_value"), [([1.0, 1.0], 1.0), ([2.0, 2.0], 0.0)])
def test_runs_without_any_variation(new: list[float], p_value: float):
    """Equal values have no difference, others have one that is certain."""
    found = Difference(Side.of([1.0, 1.0]), Side.of(new))
    assert found.p_value == p_value
    assert found.interval(0.9) == (new[0] - 1, new[0] - 1)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=12))
def test_blocks_are_compared_by_the_paired_test(blocks: list[tuple[float, float]]):
    """The same p-value and interval as Student's test of the differences."""
    base, new = ([block[side] for block in blocks] for side in (0, 1))
    found = Difference.of_blocks(base, new)
    assume(found.standard_error > 1e-6)
    expected = stats.ttest_rel(new, base)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-5, abs=1e-12)
    low, high = expected.confidence_interval(0.9)
    assert found.interval(0.9) == (pytest.approx(low, rel=1e-5, abs=1e-7), pytest.approx(high, rel=1e-5, abs=1e-7))
