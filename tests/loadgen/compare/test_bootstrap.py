"""The variance of a run's own level against series whose level is known."""

from __future__ import annotations

import math
import random
from statistics import median, variance

import pytest

from perfloop_loadgen.compare.bootstrap import variance_within


def series(seed: int, count: int = 60) -> list[float]:
    """A second's values around 1."""
    noise = random.Random(seed)
    return [noise.lognormvariate(0, 0.1) for _ in range(count)]


def test_it_is_the_variance_of_the_median_over_many_such_series():
    """Independent seconds: what the bootstrap finds in one series is what many series show."""
    true = variance(math.log(median(series(seed))) for seed in range(300))
    found = sorted(variance_within(series(seed)) or 0 for seed in range(40))
    assert found[20] == pytest.approx(true, rel=0.5)


def test_neighbours_that_resemble_each_other_know_less():
    """Ten seconds of one value each say as little as six seconds do."""
    blocks = [value for value in series(1, 12) for _ in range(10)]
    apart = random.Random(2).sample(blocks, len(blocks))
    assert (variance_within(blocks) or 0) > 1.5 * (variance_within(apart) or 0)


def test_too_little_data_has_none():
    """Seven seconds."""
    assert variance_within([1.0] * 7) is None
