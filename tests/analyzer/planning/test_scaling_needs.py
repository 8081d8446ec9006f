"""What each reason asks for: the formulas against a simulation and by hand, and what is not known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.planning.scaling import Demand, Fleet, Need, find_needs

DRAIN, TOLERANCE = 60.0, 0.1


def _needs(demand: Demand, fleet: Fleet | None = None) -> dict[str, tuple[int, int]]:
    return {need.reason: (need.wanted, need.ample) for need in find_needs(demand, fleet, DRAIN, TOLERANCE)}


def test_without_knowing_when_a_replica_is_full_its_rate_holds_for_every_number() -> None:
    """Twice the load, twice the replicas; exactly what they carry is enough."""
    fleet = Fleet(within=50.0)
    assert [fleet.fewest(load) for load in (0.0, 1.0, 50.0, 50.1, 100.0, 500.0)] == [0, 1, 1, 2, 2, 10]


def test_the_measurement_is_its_own_answer() -> None:
    """What so many replicas carried, so many carry."""
    assert [Fleet(60.0, 100.0, n).fewest(60.0 * n) for n in (1, 2, 7)] == [1, 2, 7]


def test_the_example_of_the_page() -> None:
    """docs/autoscaling.md: 150 requests per second each while two ran, full at 200; 330 take a third."""
    assert [Fleet(150.0, 200.0, 2).fewest(load) for load in (260.0, 300.0, 330.0)] == [2, 2, 3]


@given(st.floats(1.0, 99.0), st.integers(1, 20), st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_more_load_needs_no_fewer_and_no_replica_is_more_than_full(
    within: float, measured_at: int, load: float, more: float
) -> None:
    """Monotone in the load, and never beyond the rate at which replicas are full."""
    fleet = Fleet(within, 100.0, measured_at)
    assert fleet.fewest(load) <= fleet.fewest(load + more)
    assert fleet.fewest(load) * 100.0 >= load * (1 - 1e-9)


def _erlang_c(load: float, servers: int) -> float:
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


@pytest.mark.parametrize("measured_at", [1, 4])
def test_spare_capacity_keeps_the_chance_to_wait_of_the_measurement(measured_at: int) -> None:
    """Against Erlang's formula: with the replicas of the answer nobody waits more often than where it was measured."""
    slots = 4
    within = 0.5 * slots
    promised = _erlang_c(within * measured_at, slots * measured_at)
    fleet = Fleet(within, float(slots), measured_at)
    for load in (2.0, 8.0, 30.0, 100.0, 400.0):
        if load >= within * measured_at:
            chance = _erlang_c(load, slots * fleet.fewest(load))
            assert chance <= promised * 1.35, load  # the square root is the limit of many servers
            fewer = slots * (fleet.fewest(load) - 1)
            assert fewer <= load or _erlang_c(load, fewer) > promised * 0.3, load


def test_requests_that_wait_are_served_beside_those_that_come() -> None:
    """Six hundred in line within a minute are ten a second more."""
    found = _needs(Demand(load=20.0, now=20.0, waiting=600.0), Fleet(10.0))
    assert found == {"load": (2, 3), "queue": (3, 4)}


def test_a_line_without_a_known_capacity_takes_as_many_more_as_hold_it() -> None:
    """Two replicas with ten requests each, and fifteen more in line."""
    assert _needs(Demand(waiting=15.0, running=20.0, replicas=2)) == {"queue": (4, 4)}
    assert _needs(Demand(waiting=0.0, running=20.0, replicas=2)) == {"queue": (2, 3)}


def test_the_cache_does_not_fill_up() -> None:
    """Three servers whose caches are 90 % full: four bring that to 68 %."""
    assert _needs(Demand(cache_used=0.9, replicas=3)) == {"cache": (4, 4)}


def test_the_cpu_counts_where_nothing_better_is_known() -> None:
    """The autoscaler's ratio, replaced by a measured capacity."""
    used = Demand(cores_used=2.8, cores_each=2.0)
    assert _needs(used) == {"cpu": (2, 3)}
    assert _needs(Demand(load=10.0, now=10.0, cores_used=2.8, cores_each=2.0), Fleet(10.0)) == {"load": (1, 2)}


@pytest.mark.parametrize(
    "demand",
    [
        Demand(),
        Demand(load=10.0, now=10.0),
        Demand(waiting=5.0),
        Demand(waiting=5.0, running=0.0, replicas=2),
        Demand(cache_used=0.9),
        Demand(cache_used=0.9, replicas=0),
        Demand(cores_used=1.0),
        Demand(cores_used=1.0, cores_each=0.0),
    ],
)
def test_what_is_not_known_asks_for_nothing(demand: Demand) -> None:
    """No capacity, no replicas, no cores: no need rather than a guess."""
    assert find_needs(demand, None, DRAIN, TOLERANCE) == ()


def test_nothing_to_carry_needs_no_replica() -> None:
    """Traffic that stopped is known to be none."""
    demand = Demand(load=0.0, now=0.0)
    assert find_needs(demand, Fleet(10.0), DRAIN, TOLERANCE) == (Need("load", 0, 0),)
    assert demand.is_idle
    assert not Demand(load=0.0, now=0.0, waiting=1.0).is_idle
    assert not Demand().is_idle
    assert math.isclose(Demand().request, 1.0)
