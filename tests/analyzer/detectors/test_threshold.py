"""Limits: which series are beyond them, how far, and since when."""

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


def test_a_severity_without_a_limit_is_not_judged() -> None:
    """Without a critical limit nothing is critical; without a warning everything beyond the critical limit is."""
    values = np.array([[0.5], [1.5], [99.0]])
    for limit, critical in (
        (LIMIT, [False, False, True]),
        (Limit(warning=1.0), [False, False, False]),
        (Limit(critical=1.0), [False, True, True]),
    ):
        found = find_breaches(values, limit, "above")
        assert found.breached.tolist() == [False, True, True]
        assert found.critical.tolist() == critical


def test_below_is_the_mirror_image() -> None:
    """A hit ratio is bad when it falls."""
    found = find_breaches(np.array([[0.9], [0.65]]), Limit(warning=0.8, critical=0.5), "below")
    assert found.breached.tolist() == [False, True]
    assert abs(found.excess[1] - 0.5) < 1e-12


def test_onset_is_where_the_unbroken_run_began() -> None:
    """Earlier breaches that ended do not count, a gap does not end a run."""
    found = find_breaches(np.array([[5.0, 0.5, 3.0, np.nan, 3.0]]), LIMIT, "above")
    assert found.onset.tolist() == [2]


def test_a_series_that_appears_beyond_its_limit_began_when_it_appeared() -> None:
    """Before its first point a series has no breach."""
    found = find_breaches(np.array([[np.nan, np.nan, 3.0, 3.0]]), LIMIT, "above")
    assert found.onset.tolist() == [2]


def test_no_data_is_no_breach() -> None:
    """A series that ended has no breach, and neither has a signal without a limit."""
    assert not find_breaches(np.array([[9.0, np.nan, np.nan]]), LIMIT, "above").breached.any()
    assert not find_breaches(np.array([[9.0]]), Limit(), "above").breached.any()


def test_run_start_of_rows_that_are_all_or_never_true() -> None:
    """The run of a row that is always beyond begins at its first point."""
    assert run_start(np.array([[True, True, True], [False, True, False]])).tolist() == [0, 2]
