"""Which series burn their error budget, and when it will be gone."""

from __future__ import annotations

import numpy as np

from perfloop_analyzer.detectors.burn import Events, burn_rate, find_burns, seconds_to_exhaustion
from perfloop_base.burn_rates import BURN_RATES, PERIOD_SECONDS

ALLOWED = 0.001


def test_both_windows_must_burn_on_enough_events() -> None:
    """A long window alone is over, a short one alone is a blip, one error in two requests is nothing."""
    long, short = np.array([0.02, 0.02, 0.001, 0.02]), np.array([0.02, 0.0, 0.02, 0.02])
    events = Events(np.array([1000.0, 1000.0, 1000.0, 2.0]), np.array([90.0, 90.0, 90.0, np.nan]))
    assert find_burns(long, short, events, BURN_RATES[0], ALLOWED).tolist() == [True, False, False, False]


def test_exhaustion_follows_the_burn() -> None:
    """At burn one the budget lasts the period, at no burn for ever."""
    burn = burn_rate(np.array([0.001, 0.01, 0.0]), ALLOWED)
    assert [PERIOD_SECONDS, PERIOD_SECONDS / 10, np.inf] == seconds_to_exhaustion(np.ones(3), burn).tolist()


def test_nothing_measured_is_nothing_burnt() -> None:
    """NaN compares as no."""
    nothing = np.array([np.nan])
    assert not find_burns(nothing, nothing, Events(nothing, nothing), BURN_RATES[0], ALLOWED).any()


def test_a_long_window_that_is_not_full_yet_confirms_nothing() -> None:
    """Minutes of a young service are no three days; without the short window's count the long one is believed."""
    errors = np.full(3, 0.05)
    events = Events(np.array([5000.0, 5000.0, 5000.0]), np.array([5000.0, 4000.0, np.nan]))
    assert find_burns(errors, errors, events, BURN_RATES[3], ALLOWED).tolist() == [False, True, True]
