"""Student's t against scipy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from perfloop_loadgen.compare.student import critical_t, two_sided_p

FREEDOMS = st.floats(0.5, 500)


@given(st.floats(-60, 60), FREEDOMS)
def test_probabilities_are_scipys(t: float, freedom: float):
    """Also far in the tails, and with a fraction of a degree of freedom."""
    assert two_sided_p(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-7, abs=1e-13)


@given(st.floats(1e-6, 0.9), FREEDOMS)
def test_critical_values_are_scipys(p: float, freedom: float):
    """The value whose two-sided probability is given, up to a million."""
    assert critical_t(p, freedom) == pytest.approx(min(stats.t.isf(p / 2, freedom), 2**20), rel=1e-5)


def test_limits_are_those_of_the_normal_distribution_and_of_certainty():
    """With endless degrees of freedom t is normal; an infinite t has no probability."""
    assert two_sided_p(1.959964, math.inf) == pytest.approx(0.05, rel=1e-5)
    assert two_sided_p(math.inf, 4) == 0
    assert two_sided_p(0, 3) == 1
