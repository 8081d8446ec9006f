"""The rate at which objectives broke, against the naive search over all rates."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.planning.capacity.observed import _split, find_boundary, highest_kept

POINTS = st.lists(st.tuples(st.floats(0.1, 1000.0), st.booleans()), min_size=1, max_size=40)


@given(POINTS)
def test_no_other_rate_parts_the_points_better(points: list[tuple[float, bool]]):
    """As many points lie on the wrong side as of the best rate that a search of all finds."""
    rate, kept = np.array([one for one, _ in points]), np.array([float(one) for _, one in points])
    between, wrong = _split(rate, kept)
    order = np.argsort(rate, kind="stable")
    naive = min(int((1 - kept[order[:cut]]).sum() + kept[order[cut:]].sum()) for cut in range(len(points) + 1))
    assert wrong == naive
    assert rate.min() <= between <= rate.max()


def test_a_boundary_is_found_between_kept_and_broken():
    """Kept up to 100 and broken from 110 on: the boundary lies between, its bounds at the points beside it."""
    rate = np.linspace(10, 200, 39)
    found = find_boundary(rate, (rate <= 100).astype(float))
    assert found is not None
    assert 100 <= found.expected <= 110
    assert found.lower <= 100
    assert found.upper >= 105


def test_what_the_rate_does_not_explain_is_no_boundary():
    """Broken at any rate, never broken, broken once, or broken in the middle: there is no boundary."""
    rate = np.linspace(10, 200, 40)
    rng = np.random.default_rng(2)
    once = np.ones(40)
    once[-1] = 0
    for kept in (rng.random(40) < 0.5, np.ones(40), np.zeros(40), once, (rate < 60) | (rate > 140)):
        assert find_boundary(rate, np.asarray(kept, dtype=float)) is None


def test_what_was_kept_for_a_while_is_a_floor():
    """The third highest rate below all that broke; a single lucky point is none."""
    rate = np.arange(1.0, 11.0)
    assert highest_kept(rate, np.ones(10)) == 8
    assert highest_kept(rate, (rate != 6).astype(float)) == 3
    assert highest_kept(rate[:2], np.ones(2)) == 0
    assert highest_kept(rate, np.zeros(10)) == 0
