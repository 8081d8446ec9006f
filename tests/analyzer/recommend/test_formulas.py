"""The formulas behind expected improvements, against textbook values and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perfloop_analyzer.planning.capacity.queueing import (
    busy_servers,
    most_load,
    servers_for_wait,
    slowdown,
    wait_probability,
    waiting_callers,
)
from perfloop_analyzer.planning.capacity.scalability import fit_scalability
from perfloop_analyzer.recommend.estimates import Level, level_of
from perfloop_analyzer.recommend.rightsizing import (
    cpu_request,
    learn_usage,
    memory_request,
    vertical_sizing,
)


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


@pytest.mark.parametrize(("load", "servers"), [(0.5, 1), (2.0, 3), (8.0, 10)])
def test_the_line_is_the_textbooks(load: float, servers: int) -> None:
    """The mean number that waits, by the sum of the states of M/M/n, and by Little's law that of shared cores."""
    states = [load**n / math.factorial(min(n, servers)) / float(servers) ** max(n - servers, 0) for n in range(300)]
    line = sum(max(n - servers, 0) * weight for n, weight in enumerate(states)) / sum(states)
    assert waiting_callers(load, servers) == pytest.approx(line)
    assert slowdown(load, servers) * load == pytest.approx(load + line)


def test_one_shared_core_slows_work_down_by_what_is_left_of_it() -> None:
    """1 / (1 - a) at one core; without end at full use."""
    assert slowdown(0.8, 1) == pytest.approx(5.0)
    assert slowdown(0.0, 4) == 1.0
    assert slowdown(2.0, 2) == waiting_callers(2.0, 2) == math.inf


def _shared(arrivals: np.ndarray, sizes: np.ndarray, cores: int) -> float:
    """The mean slowdown of jobs that share cores, by going from event to event."""
    left: dict[int, float] = {}
    now, jobs, total = 0.0, 0.0, 0.0
    for place, came in enumerate([*arrivals, np.inf]):
        while left:
            pace = min(1.0, cores / len(left))
            first = min(left, key=left.__getitem__)
            takes = min(left[first] / pace, came - now)
            jobs += len(left) * takes
            now += takes
            for job in left:
                left[job] -= takes * pace
            if now >= came:
                break
            total += sizes[first]
            del left[first]
        now = came
        if place < len(sizes):
            left[place] = sizes[place]
    return jobs / total


def test_shared_cores_slow_work_down_whatever_its_sizes() -> None:
    """A simulation with constant and with widely spread sizes: 1.5 of two cores, 2.3 times as long as alone."""
    rng = np.random.default_rng(7)
    arrivals = np.cumsum(rng.exponential(1 / 1.5, 30_000))
    for sizes in (np.ones(30_000), rng.choice([0.5, 5.5], 30_000, p=[0.9, 0.1])):
        assert _shared(arrivals, sizes, 2) == pytest.approx(slowdown(1.5, 2), rel=0.1)


def test_callers_that_wait_for_each_other_are_the_textbooks() -> None:
    """With a server for each they are independent; with one, the states of the machine repairman."""
    assert busy_servers(6, 0.5, 6) == pytest.approx(6 * 0.5 / 1.5)
    weights = [math.factorial(4) / math.factorial(4 - n) * 0.7**n for n in range(5)]
    assert busy_servers(4, 0.7, 1) == pytest.approx(1 - weights[0] / sum(weights))


def test_more_servers_let_finite_callers_ask_more() -> None:
    """Never less than before, never more than each of them alone would; the fewer cores, the more."""
    for load, servers, wanted in ((1.5, 2, 3), (14.0, 16, 21), (0.9, 1, 2)):
        assert load <= most_load(load, servers, wanted) < wanted
    assert most_load(0.9, 1, 2) / 0.9 > most_load(14.4, 16, 21) / 14.4


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_load_that_is_no_number_has_no_queue(bad: float) -> None:
    """No number of servers is made of it."""
    assert math.isnan(wait_probability(bad, 3))
    with pytest.raises(ValueError, match="has no number of servers"):
        servers_for_wait(bad, 0.05)


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


@pytest.mark.parametrize("seed", range(5))
def test_a_plateau_or_a_rise_alone_has_no_peak(seed: int) -> None:
    """Throughput that does not change any more, or that only grows, says nothing about where it would fall."""
    noise = np.random.default_rng(seed).normal(1, 0.02, 12)
    users = np.linspace(50, 120, 12).round()
    assert fit_scalability(users, 80.0 * noise) is None
    assert fit_scalability(users, 80.0 * noise - 0.05 * users) is None
    assert fit_scalability(users, 2.0 * users * noise) is None
    assert fit_scalability(users, np.full(12, np.nan)) is None


def test_an_error_holds_the_next_mean() -> None:
    """Of independent points, of overlapping rates, and of points that remember: in nine of ten series at least."""
    rng = np.random.default_rng(3)
    held = {"independent": 0, "overlapping": 0, "remembering": 0}
    for kind in held:
        for _ in range(300):
            noise = rng.normal(0, 1, 130)
            if kind == "overlapping":
                noise = np.convolve(noise, np.ones(4), "valid")
            if kind == "remembering":
                for at in range(1, len(noise)):
                    noise[at] += 0.7 * noise[at - 1]
            level = level_of(noise[:60])
            assert level is not None
            low, high = level.bounds()
            held[kind] += low <= noise[-60:].mean() <= high
    assert min(held.values()) >= 0.88 * 300, held
    assert max(held.values()) < 300


def test_a_quotient_of_levels_has_the_error_of_its_parts() -> None:
    """By the delta method, against a simulation."""
    quotient = Level(2.0, 0.1, 50.0) / Level(8.0, 0.2, 50.0)
    rng = np.random.default_rng(0)
    drawn = rng.normal(2.0, 0.1, 20_000) / rng.normal(8.0, 0.2, 20_000)
    assert quotient.mean == pytest.approx(0.25)
    assert quotient.error == pytest.approx(drawn.std(), rel=0.05)
    assert level_of(np.array([1.0])) is None


def _vertical(use: np.ndarray, ages: np.ndarray, first: float) -> float:
    """The VPA's target by its histogram, bucket by bucket."""
    weights: dict[int, float] = {}
    for value, age in zip(use, ages, strict=True):
        bucket = math.floor(math.log1p(value * 0.05 / first) / math.log(1.05))
        weights[bucket] = weights.get(bucket, 0.0) + 0.5 ** (age / 86_400)
    reached = 0.0
    for bucket in sorted(weights):
        reached += weights[bucket]
        if reached >= 0.9 * sum(weights.values()):
            return 1.15 * first * (1.05 ** (bucket + 1) - 1) / 0.05
    raise AssertionError


def test_many_series_are_sized_as_each_by_its_histogram() -> None:
    """Gaps count for nothing; a series of gaps has no size."""
    rng = np.random.default_rng(5)
    use, ages = rng.lognormal(0, 1, (6, 300)), np.linspace(7 * 86_400.0, 0, 300)
    use[rng.random(use.shape) < 0.2] = np.nan
    use[3] = np.nan
    usage = dict(learn_usage(use, ages))
    assert sorted(usage) == [0, 1, 2, 4, 5]
    for row, one in usage.items():
        there = np.isfinite(use[row])
        assert one.sizing(1.0, 0.01).target == pytest.approx(_vertical(use[row][there], ages[there], 0.01))
        assert one.high == pytest.approx(np.nanpercentile(use[row], 95))
        assert one.peak == np.nanmax(use[row])
        assert one.is_enough
    assert not next(learn_usage(use[:1, -130:], ages[-130:] / 8))[1].is_enough


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
