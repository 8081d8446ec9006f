"""The load of the next minutes: against a naive oracle, on processes with a known future, and on too little data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from perfloop_analyzer.planning.scaling import load_ahead
from perfloop_analyzer.planning.scaling.ahead import LEAST_RISES

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats

loads = arrays.arrays(np.float64, st.integers(5, 60), elements=st.floats(0, 1e6).map(lambda value: round(value, 3)))


def _naive(history: Floats, points: int, confidence: float) -> float:
    lag, rises, changes = 6, [], []
    for at in range(lag, len(history) - points):
        ahead = history[at + 1 : at + 1 + points]
        if np.isfinite(history[at]) and np.isfinite(history[at - lag]) and np.isfinite(ahead).all():
            rises.append(math.sqrt(max(ahead)) - math.sqrt(history[at]))
            changes.append(math.sqrt(history[at]) - math.sqrt(history[at - lag]))
    if len(rises) < LEAST_RISES:
        return float(np.nanmax(history))
    varies = np.var(changes) > 0
    slope = float(np.clip(np.cov(changes, rises, bias=True)[0, 1] / np.var(changes), -0.9, 2.0)) if varies else 0.0
    left = [rise - slope * change for rise, change in zip(rises, changes, strict=True)]
    going = slope * (math.sqrt(history[-1]) - math.sqrt(history[-1 - lag]))
    return float(max(history[-1], max(math.sqrt(history[-1]) + going + np.quantile(left, confidence), 0.0) ** 2))


@given(loads, st.integers(1, 12))
def test_it_agrees_with_a_loop(history: Floats, points: int) -> None:
    """The vectorised form is what the docstring says."""
    found = load_ahead(history, 15.0, 15.0 * points, 0.9)
    assert found is not None
    assert found.upper == pytest.approx(_naive(history, points, 0.9), rel=1e-6, abs=1e-3)


@given(loads, st.floats(1.0, 100.0))
def test_it_grows_with_the_load(history: Floats, factor: float) -> None:
    """So many times the load is so many times the answer, and never less than the load now."""
    one, more = load_ahead(history, 15.0, 60.0, 0.9), load_ahead(history * factor, 15.0, 60.0, 0.9)
    assert one is not None
    assert more is not None
    assert one.upper >= one.now
    assert more.upper == pytest.approx(one.upper * factor, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("rate", [5.0, 50.0])
def test_it_covers_the_share_that_is_asked_for(rate: float) -> None:
    """Of requests that come at random, nine tenths of the peaks of the next minute stay below."""
    rng = np.random.default_rng(3)
    series = rng.poisson(rate * 15.0, 4000) / 15.0
    below = []
    for at in range(480, 3990, 10):
        found = load_ahead(series[at - 480 : at], 15.0, 60.0, 0.9)
        assert found is not None
        below.append(series[at : at + 4].max() <= found.upper)
    assert np.mean(below) == pytest.approx(0.9, abs=0.06)


def test_a_steady_load_stays() -> None:
    """Without rises nothing is added."""
    found = load_ahead(np.full(100, 7.0), 15.0, 120.0, 0.95)
    assert found is not None
    assert found.upper == pytest.approx(7.0)


def test_a_ramp_goes_on() -> None:
    """What has grown by as much every minute is expected to, and not only to rise as it did on average."""
    steps = np.concatenate([np.full(60, 100.0), 100.0 + 5.0 * np.arange(40)])
    ramp, flat = load_ahead(steps, 15.0, 120.0, 0.5), load_ahead(np.full(100, steps[-1]), 15.0, 120.0, 0.5)
    assert ramp is not None
    assert flat is not None
    assert ramp.upper == pytest.approx(steps[-1] + 8 * 5.0, rel=0.05)
    assert flat.upper == pytest.approx(steps[-1])


def test_a_fall_is_no_forecast_of_less() -> None:
    """The load may stay as it is."""
    found = load_ahead(np.linspace(100.0, 10.0, 100), 15.0, 120.0, 0.9)
    assert found is not None
    assert found.upper == pytest.approx(10.0)


def test_a_short_past_is_bounded_by_its_highest() -> None:
    """Too few rises for a quantile."""
    found = load_ahead(np.array([1.0, 9.0, 2.0, 3.0, 2.0]), 15.0, 300.0, 0.9)
    assert found is not None
    assert (found.now, found.upper) == (2.0, 9.0)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [3.0],
        [3.0] * 4,
        [math.nan] * 50,
        [*[3.0] * 50, math.nan, math.nan],
        [-1.0] * 50,
        [math.inf] * 50,
    ],
    ids=["nothing", "one", "four", "no value", "ended", "negative", "infinite"],
)
def test_what_carries_no_answer_has_none(history: list[float]) -> None:
    """Missing data are not a load of zero, and one value is no history."""
    assert load_ahead(np.array(history), 15.0, 60.0, 0.9) is None


def test_one_lost_scrape_is_bridged() -> None:
    """The value before is still the present."""
    found = load_ahead(np.array([*[3.0] * 50, math.nan]), 15.0, 60.0, 0.9)
    assert found is not None
    assert found.now == 3.0
