"""The capacity of a search's trials, against systems whose capacity is known."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_loadgen.breakpoint_search import Search, Stage
from perfloop_loadgen.capacity import CapacityInterval, Tried, estimate_capacity

if TYPE_CHECKING:
    from collections.abc import Callable

STEP, LONG = 3.0, 9.0
TRIALS = st.lists(
    st.builds(Tried, st.floats(0.1, 1e5), st.sampled_from([STEP, LONG]), st.booleans()), min_size=1, max_size=25
)


def _searched(outcome: Callable[[float, float], bool], start: float = 10.0) -> list[Tried]:
    """Return the trials of a whole search, in which `outcome` says whether a rate holds for so many seconds."""
    search = Search(rate=start, max_rate=100_000, precision_ratio=0.05)
    tried = []
    while search.stage is not Stage.DONE:
        seconds = LONG if search.stage in {Stage.CONFIRM, Stage.REFUTE} else STEP
        tried.append(Tried(search.rate, seconds, outcome(search.rate, seconds)))
        search = search.after(passed=tried[-1].passed)
    return tried


def _queue_keeps(rng: random.Random, rate: float, seconds: float, limit: float) -> bool:
    """Whether the p95 of one server (M/M/1, 400 requests/s) keeps the limit over a trial that begins idle."""
    now = free = 0.0
    times = []
    while (now := now + rng.expovariate(rate)) < seconds:
        free = max(now, free) + rng.expovariate(400.0)
        times.append(free - now)
    times.sort()
    return not times or times[int(0.95 * len(times))] < limit


def test_the_interval_holds_the_capacity_of_a_queue():
    """Of one server whose p95 is known, ln 20 / (service rate - rate), the interval holds the rate in 9 of 10 searches.

    Its width is that of the noise: not more than a third of the capacity at the median.
    """
    rng = random.Random(7)
    for limit in (0.05, 0.3):
        truth = 400.0 - math.log(20) / limit
        found = [
            estimate_capacity(_searched(lambda rate, seconds: _queue_keeps(rng, rate, seconds, limit)), limit)  # noqa: B023
            for _ in range(40)
        ]
        held = sum(one is not None and one.upper is not None and one.lower <= truth <= one.upper for one in found)
        widths = sorted((one.upper - one.lower) / truth for one in found if one and one.upper is not None)
        assert held >= 34
        assert widths[len(widths) // 2] < 1 / 3


@pytest.mark.parametrize("width", [0.005, 0.03, 0.1])
def test_the_interval_holds_the_capacity_whatever_the_noise(width: float):
    """Passing is a matter of chance around the capacity, and 2 of 100 trials fail by what else the machine does."""
    rng = random.Random(11)
    held = 0
    for _ in range(100):
        truth = math.exp(rng.uniform(math.log(30), math.log(3000)))

        def outcome(rate: float, seconds: float, truth: float = truth) -> bool:
            noise = rng.gauss(0, width * math.sqrt(STEP / seconds))
            return rng.random() > 0.02 and rate * math.exp(noise) < truth

        found = estimate_capacity(_searched(outcome))
        held += found is not None and found.upper is not None and found.lower <= truth <= found.upper
    assert held >= 85


@settings(deadline=None, max_examples=50)
@given(TRIALS, st.floats(0, 5))
def test_bounds_are_in_order_and_follow_from_the_trials(trials: list[Tried], limit: float):
    """Whatever was tried: no pass, no capacity; no failure, no upper bound; and lower <= expected <= upper."""
    found = estimate_capacity(trials, limit)
    if not any(trial.passed for trial in trials):
        assert found is None
        return
    assert found is not None
    assert 0 < found.lower <= max(trial.rate for trial in trials) * 4.1
    if all(trial.passed for trial in trials):
        assert found.expected is found.upper is None
    else:
        assert found.expected is not None
        assert found.upper is not None
        assert found.lower <= found.expected <= found.upper


@settings(deadline=None, max_examples=30)
@given(TRIALS, st.floats(0.01, 100))
def test_the_unit_of_rates_does_not_matter(trials: list[Tried], factor: float):
    """A system so many times as fast has so many times the capacity."""
    scaled = [Tried(trial.rate * factor, trial.seconds, trial.passed) for trial in trials]
    one, other = estimate_capacity(trials), estimate_capacity(scaled)
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert other.lower == pytest.approx(one.lower * factor, rel=0.05)


def test_one_trial_says_little():
    """A single pass bounds it from below alone; a pass and a far failure leave everything between them."""
    assert estimate_capacity([Tried(50, 9, passed=True)]) == CapacityInterval(pytest.approx(50, rel=0.5), None, None)
    wide = estimate_capacity([Tried(50, 3, passed=True), Tried(400, 3, passed=False)])
    assert wide is not None
    assert wide.upper is not None
    assert wide.upper / wide.lower > 4
    assert estimate_capacity([Tried(50, 3, passed=False)]) is None


def test_short_trials_flatter_a_long_limit():
    """With a limit of a second, three seconds of passing leave a lower bound below that of none."""
    trials = _searched(lambda rate, _: rate <= 300)
    strict, flattered = estimate_capacity(trials, 0.0), estimate_capacity(trials, 1.0)
    assert strict is not None
    assert flattered is not None
    assert flattered.lower < strict.lower <= 300
    assert "the highest rate that keeps the thresholds for long" in flattered.sentence
