"""Capacity from live traffic, on systems whose capacity is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.planning.capacity.live import MOST_REACH, find_limits
from perfloop_analyzer.planning.capacity.model import Objectives
from tests.analyzer.planning.systems import System, daily

if TYPE_CHECKING:
    from perfloop_analyzer.planning.capacity.traffic import Traffic

WITHIN = Objectives(p95_seconds=0.1, error_ratio=0.001)


def _first(traffic: Traffic, objectives: Objectives = WITHIN) -> tuple[float, float, float]:
    found, notes = find_limits(traffic, objectives)
    assert found, notes
    bounds = found[0].bounds
    return bounds.lower, bounds.expected, bounds.upper


def test_the_interval_holds_the_capacity():
    """Of 120 services of other sizes, demands and days, the interval holds the capacity in at least 100.

    Some are seen up to a third of their capacity only, some beyond it.
    """
    rng = np.random.default_rng(5)
    held, off = 0, []
    for _ in range(120):
        servers = int(rng.choice([1, 2, 10, 40]))
        system = System(servers, service=0.004 * servers, fixed=rng.uniform(0, 0.02), base=rng.uniform(0, 0.2))
        limit = float(system.p95(np.array([0.0]))[0] * rng.uniform(1.5, 8.0))
        truth = system.capacity(limit)
        peak = truth * rng.uniform(0.35, 1.1)
        traffic = system.traffic(daily(peak / 4, peak), rng, noise=rng.uniform(0.01, 0.1))
        lower, expected, upper = _first(traffic, Objectives(limit, 0.001))
        held += lower <= truth <= upper
        off.append(abs(expected / truth - 1))
    assert held >= 100
    assert np.median(off) < 0.05


def test_the_first_limit_is_the_smallest():
    """Of two resources the one that gives out first is named first; its figure is the capacity."""
    rng = np.random.default_rng(6)
    rates = daily(20, 90)
    cpu, pool = System(servers=1, service=0.002), System(servers=10, service=0.05)
    traffic = cpu.traffic(rates, rng)
    use = np.minimum(pool.use(rates), 1.0)
    both = replace(traffic, uses={**traffic.uses, "pool": use}, sizes={**traffic.sizes, "pool": 10})
    found, _ = find_limits(both, Objectives(2.0, 0.001))
    assert [one.resource for one in found][:2] == ["database_pool", "cpu"]
    assert found[0].bounds.expected == pytest.approx(190, rel=0.05)


def test_objectives_that_broke_bound_the_rate_whatever_the_resources():
    """Failures from 120 requests/s on, of a resource that nothing measures: the rate is known, the reason is not."""
    rates = daily(20, 180)
    traffic = System(service=0.001).traffic(rates, np.random.default_rng(7))
    failing = replace(traffic, errors=np.where(rates > 120, 0.2, 0.0))
    found, _ = find_limits(failing, WITHIN)
    assert found[0].resource == "response_time"
    assert found[0].bounds.expected == pytest.approx(120, rel=0.05)


def test_a_few_failures_of_many_requests_are_no_broken_objective():
    """One failed request of a minute's 300 is above 0.1%, and no reason to say that the rate is too high."""
    rates = daily(2, 5)
    rng = np.random.default_rng(8)
    traffic = System(service=0.05).traffic(rates, rng)
    unlucky = replace(traffic, errors=np.where(rng.random(len(rates)) < 0.2, 1 / 300, 0.0))
    found, notes = find_limits(unlucky, Objectives(5.0, 0.001))
    assert found, notes
    assert found[0].resource == "cpu"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rate": np.zeros(200)}, "hardly any traffic"),
        ({"rate": np.full(200, np.nan)}, "hardly any traffic"),
        ({"rate": np.full(200, 40.0)}, "one level of load shows no demand"),
        ({"p95": np.full(200, 3.0)}, "it is not a matter of the load"),
        ({"uses": {"cpu": np.random.default_rng(9).uniform(0.2, 0.6, 200)}}, "other work does the rest"),
        ({"uses": {"cpu": daily(0.002, 0.008)}}, "too little to extrapolate from"),
        ({"uses": {}}, "no resource is known"),
    ],
)
def test_what_live_traffic_does_not_show_is_refused(change: dict[str, object], why: str):
    """Traffic that stopped, one level, objectives that always break, use by something else: no figure, the reason."""
    traffic = System().traffic(daily(20, 80), np.random.default_rng(9))
    found, notes = find_limits(replace(traffic, **change), WITHIN)
    assert found == []
    assert any(why in note for note in notes)


def test_a_capacity_far_beyond_what_was_seen_is_refused():
    """At 6% of use nobody knows what the service does at sixteen times the rate."""
    traffic = System(service=0.0005).traffic(daily(20, 120), np.random.default_rng(10))
    found, notes = find_limits(traffic, Objectives(10.0, None))
    assert found == []
    assert any("a load test can show it" in note for note in notes)


def test_what_was_seen_to_hold_is_carried():
    """The bounds are never below a rate that was kept for minutes."""
    rng = np.random.default_rng(11)
    for peak in (60, 100, 140, 170):
        lower, _, _ = _first(System().traffic(daily(10, peak), rng))
        if peak < System().capacity(0.1):
            assert lower >= 0.9 * peak


@settings(max_examples=60, deadline=None)
@given(
    st.builds(System, st.integers(1, 50), st.floats(0.0005, 2.0), st.just(0.01), st.floats(0.0, 0.5)),
    st.floats(0.01, 1.5),
    st.floats(0.0, 0.5),
    st.integers(0, 10**6),
)
def test_bounds_are_in_order_and_within_reach(system: System, share: float, noise: float, seed: int):
    """Whatever the service: 0 <= lower <= expected <= upper, and no more than ten times what was seen."""
    peak = share * system.servers / system.service
    traffic = system.traffic(daily(peak / 3, peak), np.random.default_rng(seed), noise)
    found, notes = find_limits(traffic, WITHIN)
    assert found or notes
    assert all(note and not note.endswith(".") for note in notes)
    for one in found:
        assert 0 <= one.bounds.lower <= one.bounds.expected <= one.bounds.upper
        assert one.bounds.expected <= MOST_REACH * traffic.rate.max()
    assert [one.bounds.expected for one in found] == sorted(one.bounds.expected for one in found)
