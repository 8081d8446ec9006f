"""The mix keeps every share and does not bunch."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.scenario.plan import spread

WEIGHTS = st.lists(st.integers(1, 20), min_size=1, max_size=5)


@given(WEIGHTS)
def test_every_index_comes_as_often_as_its_weight(weights: list[int]):
    """One cycle holds each index weight / gcd times."""
    cycle = spread(weights)
    divisor = math.gcd(*weights)
    assert [cycle.count(index) for index in range(len(weights))] == [weight // divisor for weight in weights]


def test_shares_are_spread():
    """Five to one to one: the small ones are not together at the end."""
    assert spread([5, 1, 1]) == [0, 0, 1, 0, 2, 0, 0]
