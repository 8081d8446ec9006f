"""What days say about a use: percentiles by a naive oracle, growth that is sure, and values that say nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.recommend.rightsizing import HALF_LIFE_SECONDS
from perfloop_analyzer.waste import Use, learn_uses
from perfloop_analyzer.waste.use import grown_by
from tests.analyzer.waste.known_uses import DAY, STEP, batch, grid, learn, use

HOST = {"service": "host", "container": "shop"}
POOL = "waste_pool:use"
MEMORY, CPU = "waste_container_memory:use", "waste_container_cpu:use"
KEY = ("host", "", "", "shop")


def _of(question: str, values: object, days: float = 7.0) -> Use | None:
    labels, key = (HOST, KEY) if question != POOL else ({"service": "shop"}, ("shop", ""))
    return learn(batch(question, values, days, **labels))[question].get(key)


def _weighted(values: list[float], ages: list[float], share: float) -> float:
    """The smallest value up to which a share of the weights lies, one value after the other."""
    pairs = sorted((value, 2.0 ** (-age / HALF_LIFE_SECONDS)) for value, age in zip(values, ages, strict=True))
    total, sum_ = sum(weight for _, weight in pairs), 0.0
    for value, weight in pairs:
        sum_ += weight
        if sum_ >= share * total * (1 - 1e-9):
            return value
    raise AssertionError


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.0, 1e12), min_size=1, max_size=60))
def test_percentiles_are_those_of_a_naive_oracle(values: list[float]) -> None:
    """The 95th percentile, the peak and the decayed percentiles, of values that count less the older they are."""
    padded = np.full(grid().points, np.nan)
    padded[-len(values) :] = values
    found = _of(POOL, padded)
    assert found is not None
    ages = [(len(values) - 1 - at) * STEP for at in range(len(values))]
    assert found.peak == max(values)
    assert found.usage.high == pytest.approx(np.percentile(values, 95))
    assert found.usage.decayed == tuple(_weighted(values, ages, share) for share in (0.9, 0.5, 0.95))
    assert found.mean == pytest.approx(np.mean(values))


def test_enough_is_a_day_without_large_gaps() -> None:
    """Less than a day, or days of which most is missing, say nothing about a size."""
    assert _of(MEMORY, use(1e8)).is_enough  # type: ignore[union-attr]
    assert not _of(MEMORY, use(1e8, 0.9), 0.9).is_enough  # type: ignore[union-attr]
    holes = use(1e8)
    holes[np.arange(len(holes)) % 3 > 0] = np.nan
    holes[0], holes[-1] = 1e8, 1e8
    assert not _of(MEMORY, holes).is_enough  # type: ignore[union-attr]


def test_a_counter_that_stopped_says_nothing() -> None:
    """A rate of 0 is a counter that does not move, and no program takes no memory. An idle pool's 0 is a value."""
    assert _of(CPU, 0.0) is None
    stopped = use(0.5)
    stopped[len(stopped) // 2 :] = 0.0
    found = _of(CPU, stopped)
    assert found is not None
    assert found.usage.decayed[1] > 0.2
    assert _of(MEMORY, 0.0) is None
    idle = learn(batch("waste_pool:use", 0.0, service="shop", pool="main"))["waste_pool:use"]["shop", "main"]
    assert idle.peak == 0.0


def test_hostile_values_are_no_values() -> None:
    """NaN and infinity are skipped; a series of nothing else is not learned; an unknown question is left out."""
    values = use(1e8)
    values[::5], values[1::7], values[2::11] = np.nan, np.inf, -np.inf
    found = _of(MEMORY, values)
    assert found is not None
    assert np.isfinite([found.peak, found.mean, found.growth, *found.usage.decayed]).all()
    assert _of(MEMORY, np.nan) is None
    assert learn_uses({"other": batch("other", 1.0)}, {}, frozenset()) == {}


def test_growth_is_its_upper_bound_where_it_is_sure() -> None:
    """A use that grows 5% a day has grown; one with a daily rhythm, one odd day, or two days has not."""
    ages = grid().end - grid().times()
    rising = use(1.0) * (1.0 + 0.05 * (7.0 - ages / DAY))
    assert 0.05 <= grown_by(rising, ages) <= 0.2
    assert grown_by(use(1.0), ages) == 0.0
    odd = use(1.0)
    odd[500:510] = 9.0
    assert grown_by(odd, ages) == 0.0
    assert grown_by(rising[-288:], ages[-288:]) == 0.0
    assert grown_by(np.full(len(ages), np.nan), ages) == 0.0
