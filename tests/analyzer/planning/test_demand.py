"""A resource's use against the request rate, against numpy's own fit and systems whose demand is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from perfloop_analyzer.planning.capacity.demand import RESAMPLES, Demand, fit_demand, resample
from perfloop_analyzer.planning.capacity.queueing import slowdown
from perfloop_analyzer.planning.capacity.response import FULL, fit_response, slowdown_of
from perfloop_analyzer.planning.figures import Refusal
from tests.analyzer.planning.systems import System, daily

RNG = np.random.default_rng(1)


def _demand(rate: np.ndarray, use: np.ndarray) -> Demand:
    found = fit_demand(rate, use, "CPU")
    assert isinstance(found, Demand)
    return found


def test_the_line_is_that_of_least_squares():
    """Slope and base are numpy's own; of a line below the origin, the best line through it."""
    rate = daily(10, 80)
    use = 0.1 + 0.006 * rate + 0.01 * RNG.standard_normal(len(rate))
    slope, base = np.polyfit(rate, use, 1)
    found = _demand(rate, use)
    assert (found.slope, found.base) == (pytest.approx(slope), pytest.approx(base))
    below = _demand(rate, 0.008 * rate - 0.05)
    assert below.base == 0
    assert below.slope == pytest.approx(float(nnls(rate[:, None], 0.008 * rate - 0.05)[0][0]))


def test_the_interval_holds_the_demand():
    """Of 100 services with noise that lasts for some minutes, 5% to 95% holds the demand in at least 80."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rate = daily(10, 80)
        noise = np.convolve(rng.standard_normal(len(rate) + 4), np.ones(5) / 5, mode="valid")
        found = _demand(rate, 0.05 + 0.005 * rate + 0.02 * noise)
        lower, upper = np.quantile(found.slopes, [0.05, 0.95])
        held += lower <= 0.005 <= upper
    assert held >= 80


@pytest.mark.parametrize(
    ("rate", "use", "why"),
    [
        (np.full(5, 30.0), np.full(5, 0.3), "5 measurements are too few"),
        (np.full(50, 30.0), np.full(50, 0.3), "one level of load shows no demand"),
        (np.zeros(50), np.full(50, 0.3), "one level of load shows no demand"),
        (daily(30, 33), daily(0.3, 0.33), "one level of load shows no demand"),
        (daily(10, 80), daily(0.001, 0.008), "too little to extrapolate from"),
        (daily(10, 80), RNG.uniform(0.2, 0.6, 200), "other work does the rest"),
        (daily(10, 80), daily(0.8, 0.1), "explains none of its use"),
    ],
)
def test_what_the_points_do_not_show_is_refused(rate: np.ndarray, use: np.ndarray, why: str):
    """One point, one level, hardly any use, use that something else causes: each is refused with its reason."""
    found = fit_demand(rate, use, "CPU")
    assert isinstance(found, Refusal)
    assert why in found.reason
    assert found.reason.startswith("CPU: ")


@given(st.floats(0.01, 1000.0))
def test_the_unit_of_rates_does_not_matter(factor: float):
    """Counted in other units, the same use at the same load."""
    rate = daily(10, 80)
    one, other = _demand(rate, 0.1 + 0.006 * rate), _demand(rate * factor, 0.1 + 0.006 * rate)
    assert other.slope * factor == pytest.approx(one.slope)
    assert other.base == pytest.approx(one.base, abs=1e-9)


def test_resamples_are_blocks_of_all_points():
    """Every resample has as many points as there are, neighbours mostly together, and every point is drawn."""
    drawn = resample(200)
    assert drawn.shape == (RESAMPLES, 200)
    assert set(drawn.ravel()) == set(range(200))
    assert np.mean(np.diff(drawn, axis=1) % 200 == 1) > 0.7
    assert (resample(200) == drawn).all()


def test_the_response_is_split_as_by_non_negative_least_squares():
    """The part that waits and the part that does not are scipy's own fit of relative errors."""
    for fixed, noise in ((0.02, 0.02), (0.0, 0.1), (0.2, 0.3)):
        system = System(servers=4, service=0.05, fixed=fixed)
        rate = daily(10, 70)
        p95 = system.p95(rate) * np.exp(noise * RNG.standard_normal(len(rate)))
        demand = _demand(rate, system.use(rate))
        found = fit_response(rate, p95, demand, 4, resample(len(rate)).astype(int))
        terms = np.column_stack([np.ones(len(rate)), slowdown_of(demand.use(rate), 4)])
        expected, _ = nnls(terms / p95[:, None], np.ones(len(rate)))
        assert (found.fixed, found.queueing) == pytest.approx(tuple(expected), rel=1e-6, abs=1e-9)


@given(st.integers(1, 60), st.floats(0.0, 0.98))
def test_the_table_of_slowdowns_is_the_formula(servers: int, use: float):
    """Between its points it is the formula's within 2%."""
    assert float(slowdown_of(np.array([use]), servers)[0]) == pytest.approx(slowdown(use * servers, servers), rel=0.02)


def test_the_rate_within_a_limit_is_where_the_curve_reaches_it():
    """At the rate found the response takes as long as the limit; without a limit the resource is as full as allowed."""
    system = System(servers=1, service=0.005)
    rate = daily(20, 150)
    demand = _demand(rate, system.use(rate))
    found = fit_response(rate, system.p95(rate), demand, 1, resample(len(rate)).astype(int))
    for limit in (0.04, 0.1, 0.2):
        assert found.latency(found.rates(limit)[0]) == pytest.approx(limit, rel=0.02)
        assert found.rates(limit)[0] == pytest.approx(system.capacity(limit), rel=0.02)
    assert demand.use(np.array([found.rates(None)[0]]))[0] == pytest.approx(FULL)
    assert found.rates(0.001)[0] == 0
    assert found.latency(1e9) == np.inf
