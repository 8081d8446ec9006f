"""Limits: who stands beyond them, how far, since when."""

from __future__ import annotations

import numpy as np

from perfloop_analyzer.catalog import Limit
from perfloop_analyzer.detectors.threshold import find_breaches, run_start

LIMIT = Limit(warning=1.0, critical=2.0)


def test_excess_is_zero_at_the_warning_and_one_at_the_critical_limit() -> None:
    """The scale of the excess is the way from warning to critical."""
    found = find_breaches(np.array([[1.0], [1.5], [2.0], [4.0]]), LIMIT, "above")
    assert found.breached.tolist() == [False, True, True, True]
    assert found.excess.tolist() == [0.0, 0.5, 1.0, 3.0]


def test_below_is_the_mirror_image() -> None:
    """A hit ratio hurts when it falls."""
    found = find_breaches(np.array([[0.9], [0.65]]), Limit(warning=0.8, critical=0.5), "below")
    assert found.breached.tolist() == [False, True]
    assert abs(found.excess[1] - 0.5) < 1e-12


def test_onset_is_where_the_unbroken_run_began() -> None:
    """Earlier breaches that healed do not count, a gap does not end a run."""
    found = find_breaches(np.array([[5.0, 0.5, 3.0, np.nan, 3.0]]), LIMIT, "above")
    assert found.onset.tolist() == [2]


def test_a_series_that_appears_beyond_its_limit_began_when_it_appeared() -> None:
    """What was not there before was not wrong before."""
    found = find_breaches(np.array([[np.nan, np.nan, 3.0, 3.0]]), LIMIT, "above")
    assert found.onset.tolist() == [2]


def test_no_data_is_no_breach() -> None:
    """A series that ended says nothing, and a signal without a limit neither."""
    assert not find_breaches(np.array([[9.0, np.nan, np.nan]]), LIMIT, "above").breached.any()
    assert not find_breaches(np.array([[9.0]]), Limit(), "above").breached.any()


def test_run_start_of_rows_that_are_all_or_never_true() -> None:
    """The run of a row that is always beyond begins at its first point."""
    assert run_start(np.array([[True, True, True], [False, True, False]])).tolist() == [0, 2]
