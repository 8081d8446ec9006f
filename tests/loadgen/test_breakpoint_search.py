"""The search, against services whose limit is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.breakpoint_search import Search, Stage, is_oversaturated, knee_of


def _search(limit: float, start: float = 10, most: float = 100_000, precision: float = 0.05) -> Search:
    search = Search(rate=start, max_rate=most, precision_ratio=precision)
    while search.stage is not Stage.DONE:
        assert len(search.trials) < 100
        search = search.after(passed=search.rate <= limit)
    return search


@given(st.floats(1, 90_000), st.floats(0.5, 1000))
def test_the_limit_is_found_to_the_precision(limit: float, start: float):
    """Whatever the limit and the first rate, the confirmed rate is below the limit by at most the precision."""
    confirmed = _search(limit, start).confirmed
    assert limit / 1.06 <= confirmed <= limit


def test_the_order_is_double_bisect_confirm_refute():
    """The trials double until one fails, bisect between the last two, and confirm what is left from both sides."""
    trials = _search(100).trials
    assert [trial.rate for trial in trials[:5]] == [10, 20, 40, 80, 160]
    assert trials[5].stage is Stage.BISECT
    assert [trial.stage for trial in trials[-2:]] == [Stage.CONFIRM, Stage.REFUTE]
    assert trials[-2].rate <= 100 < trials[-1].rate


def test_a_failure_that_was_noise_is_overturned():
    """One trial fails though the service carries ten times as much: the search finds the real limit all the same."""
    search = Search(rate=10, max_rate=100_000, precision_ratio=0.05)
    while search.stage is not Stage.DONE:
        is_noise = len(search.trials) == 2
        search = search.after(passed=search.rate <= 400 and not is_noise)
    assert 380 <= search.confirmed <= 400


def test_a_service_that_is_never_steady_ends_the_search():
    """Whatever fails for a short time holds for a long one: the search gives up after a few such surprises."""
    search = Search(rate=10, max_rate=100_000, precision_ratio=0.05)
    while search.stage is not Stage.DONE:
        assert len(search.trials) < 100
        search = search.after(passed=search.stage in {Stage.CONFIRM, Stage.REFUTE} or len(search.trials) % 2 == 0)
    assert sum(trial.stage is Stage.REFUTE for trial in search.trials) <= 3


def test_a_service_without_limit_is_confirmed_at_the_most():
    """The search stops at max_rate and confirms there."""
    assert _search(1e9, most=1000).confirmed == 1000


def test_a_rate_that_does_not_hold_for_long_is_stepped_down():
    """A confirmation that fails lowers the rate until one holds."""
    search = Search(rate=64, max_rate=64, precision_ratio=0.1).after(passed=True)
    assert search.stage is Stage.CONFIRM
    search = search.after(passed=False, reason="p95").after(passed=True)
    assert search.confirmed == pytest.approx(57.6)
    assert search.trials[1].reason == "p95"


def test_a_dead_service_has_no_rate():
    """When not even one request a minute is answered the search ends without a rate."""
    assert _search(0).confirmed is None


def test_oversaturation_is_growth_of_the_requests_under_way():
    """A backlog that grows through the step is over-saturation; one that oscillates is not."""
    growing = [(float(t), 10.0 + 10 * t) for t in range(40)]
    oscillating = [(float(t), 100.0 + 30 * (t % 2)) for t in range(40)]
    assert is_oversaturated(growing)
    assert not is_oversaturated(oscillating)
    assert not is_oversaturated([])


def test_the_knee_is_where_good_answers_stop_keeping_up():
    """The highest rate below the first one that fell behind; a lucky trial beyond it does not count."""
    assert knee_of([(40, 40), (10, 10), (20, 19.5), (80, 60), (60, 58)]) == 60
    assert knee_of([(10, 10), (20, 12), (40, 39)]) == 10
    assert knee_of([(10, 3)]) is None
    assert knee_of([]) is None
