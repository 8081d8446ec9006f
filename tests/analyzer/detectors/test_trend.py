"""Mann-Kendall and Theil-Sen against scipy, against noise and against known slopes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from perfloop_analyzer.detectors.trend import block_medians, find_trends, without_day


def test_slope_and_interval_agree_with_scipy() -> None:
    """On a short series without ties the slope is scipy's Theil-Sen estimate."""
    values = np.random.default_rng(1).standard_normal((1, 30)) + 0.3 * np.arange(30)
    oracle = stats.theilslopes(values[0], np.arange(30))
    found = find_trends(values, 1.0)
    assert found.slope[0] == pytest.approx(oracle.slope)
    assert found.low[0] == pytest.approx(oracle.low_slope, rel=0.1)
    assert found.high[0] == pytest.approx(oracle.high_slope, rel=0.1)


def test_p_value_agrees_with_kendalls_tau() -> None:
    """Without autocorrelation the test is Kendall's."""
    values = np.random.default_rng(5).standard_normal((40, 32)) + 0.03 * np.arange(32)
    ours = find_trends(values, 1.0).p_value
    oracle = [stats.kendalltau(np.arange(32), row, method="asymptotic").pvalue for row in values]
    assert np.median(np.abs(ours - oracle)) < 0.02


def test_a_known_slope_is_per_second() -> None:
    """Ten units an hour are ten units an hour at any step."""
    values = np.tile(np.linspace(0.0, 10.0, 241)[:-1], (2, 1)) + np.random.default_rng(2).normal(0, 0.05, (2, 240))
    found = find_trends(values, 15.0)
    assert found.slope == pytest.approx(10.0 / 3600, rel=0.02)
    assert found.fit == pytest.approx(10.0, abs=0.1)


def test_noise_has_no_trend_even_when_it_is_autocorrelated() -> None:
    """The false alarm rate stays near its level when neighbours resemble each other."""
    rng = np.random.default_rng(3)
    shocks = rng.standard_normal((400, 240))
    values = shocks.copy()
    for at in range(1, 240):
        values[:, at] = 0.7 * values[:, at - 1] + shocks[:, at]
    assert (find_trends(values, 1.0).p_value < 0.001).mean() < 0.01
    assert (find_trends(shocks, 1.0).p_value < 0.05).mean() < 0.08


def test_gaps_and_constants_give_no_trend() -> None:
    """A row with too little data has no answer, a constant has slope nought and p one."""
    values = np.ones((2, 64))
    values[0, :40] = np.nan
    found = find_trends(values, 1.0)
    assert np.isnan(found.slope[0])
    assert (found.slope[1], found.p_value[1]) == (0.0, 1.0)


def test_blocks_end_at_the_newest_point() -> None:
    """Points that do not fill a block are left out at the old end."""
    blocks, span = block_medians(np.arange(10.0)[None, :], 3)
    assert span == 3.0
    assert blocks.tolist() == [[2.0, 5.0, 8.0]]


def test_a_day_is_taken_out_and_growth_stays() -> None:
    """What is left of a season is small, the slope is the same, gaps stay gaps, and two days are left alone."""
    clock = np.arange(1000)
    season = 5.0 * np.sin(2 * np.pi * clock / 144)
    values = (0.01 * clock + season)[None, :].copy()
    values[0, 300:350] = np.nan
    calm = without_day(values, 600.0)
    assert np.nanstd(calm - 0.01 * clock) < np.std(season) / 8
    assert np.isnan(calm[0, 300:350]).all()
    assert np.isfinite(np.delete(calm, np.s_[300:350], axis=1)).all()
    assert (without_day(values[:, :288], 600.0) == values[:, :288]).all()


def test_no_series_have_no_trends() -> None:
    """A cycle in which no series comes near its limit is judged like any other."""
    assert len(find_trends(np.empty((0, 240)), 5.0).slope) == 0
