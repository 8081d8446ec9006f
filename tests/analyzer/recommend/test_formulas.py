"""The formulas behind expected improvements, against textbook values and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfloop_analyzer.recommend.queueing import servers_for_wait, wait_probability
from perfloop_analyzer.recommend.rightsizing import cpu_request, desired_replicas, memory_request, vertical_sizing
from perfloop_analyzer.recommend.scalability import fit_scalability


def _erlang_c(load: float, servers: int) -> float:
    top = load**servers / math.factorial(servers) * servers / (servers - load)
    return top / (sum(load**k / math.factorial(k) for k in range(servers)) + top)


@pytest.mark.parametrize(("load", "servers"), [(0.5, 1), (2.0, 3), (8.0, 10), (50.0, 55)])
def test_erlang_c_is_the_textbooks(load: float, servers: int) -> None:
    """The stable recursion gives the factorial formula's value."""
    assert wait_probability(load, servers) == pytest.approx(_erlang_c(load, servers))


def test_one_server_waits_with_the_probability_of_its_load() -> None:
    """With one server the probability to wait is the load; beyond its capacity everybody waits, without load nobody."""
    assert wait_probability(0.6, 1) == pytest.approx(0.6)
    assert wait_probability(3.0, 2) == 1.0
    assert wait_probability(0.0, 1) == 0.0


def test_servers_are_as_few_as_keep_the_promise() -> None:
    """One fewer would break it."""
    count = servers_for_wait(20.0, 0.05)
    assert wait_probability(20.0, count) <= 0.05 < wait_probability(20.0, count - 1)


def test_scalability_law_is_found_again() -> None:
    """Throughput made from the law gives its parameters and its peak."""
    users = np.arange(1.0, 65.0, 3.0)
    x = 40.0 * users / (1 + 0.05 * (users - 1) + 0.001 * users * (users - 1))
    law = fit_scalability(users, x * np.random.default_rng(1).normal(1, 0.01, len(users)))
    assert law is not None
    assert law.contention == pytest.approx(0.05, rel=0.2)
    assert law.peak == pytest.approx(math.sqrt(0.95 / 0.001), rel=0.1)


def test_scalability_needs_levels_and_a_fit() -> None:
    """Two levels, or numbers without a law, give none."""
    assert fit_scalability(np.array([1.0, 5.0, 5.0]), np.array([3.0, 9.0, 9.0])) is None
    wild = np.array([5.0, 900.0, 1.0, 700.0, 2.0, 800.0])
    assert fit_scalability(np.arange(1.0, 7.0), wild) is None


def test_krr_requests() -> None:
    """CPU is the 95th percentile, memory the peak and fifteen percent."""
    assert cpu_request(np.arange(101.0)) == pytest.approx(95.0)
    assert memory_request(100.0) == pytest.approx(115.0)


def test_vertical_sizing_weighs_recent_use_more_and_knows_its_ignorance() -> None:
    """Old use fades by half a day; with little history the bounds are wide."""
    ages = np.linspace(8 * 86_400.0, 0.0, 8 * 1440)
    use = np.where(ages > 2 * 86_400.0, 4.0, 1.0)
    sizing = vertical_sizing(use, ages, 0.01)
    assert sizing.lower < sizing.target < sizing.upper
    recent = vertical_sizing(np.ones(30), np.linspace(1800.0, 0.0, 30), 0.01)
    assert recent.target == pytest.approx(1.15, rel=0.06)
    assert recent.upper > 10 * recent.target
    assert recent.lower < 0.95 * recent.target


def test_replicas_follow_the_autoscalers_ratio() -> None:
    """Use at the target changes nothing, twice the target doubles, idle leaves one."""
    assert desired_replicas(2, 2.8, 2.0) == 2
    assert desired_replicas(2, 4.0, 1.0) == 6
    assert desired_replicas(4, 0.1, 2.0) == 1
