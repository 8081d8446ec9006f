"""Benjamini-Hochberg against scipy, and the level of a cycle."""

from __future__ import annotations

import numpy as np
from scipy import stats

from perfloop_analyzer.detectors.multiple import cycle_level, reject


def test_rejections_are_scipys() -> None:
    """The same tests stand as with scipy's adjusted p-values."""
    p_values = np.concatenate([np.random.default_rng(1).random(200), np.full(10, 1e-5)])
    oracle = stats.false_discovery_control(p_values) <= 0.05
    assert oracle.tolist() == reject(p_values, 0.05).tolist()


def test_tests_that_were_not_made_do_not_count() -> None:
    """NaN neither stands nor makes it harder for others."""
    assert reject(np.array([0.04, np.nan, 0.9]), 0.09).tolist() == [True, False, False]
    assert not reject(np.array([np.nan]), 0.5).any()
    assert not reject(np.array([0.9, 0.8]), 0.05).any()


def test_a_day_of_cycles_allows_one_false_finding() -> None:
    """The level times the cycles of a day is one."""
    assert abs(cycle_level(10.0) * 8640 - 1.0) < 1e-12
