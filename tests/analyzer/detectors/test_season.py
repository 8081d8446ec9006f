"""Periods, patterns, profiles, intervals and the screen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.detectors.candidates import seeded_intervals
from perfloop_analyzer.detectors.change_point import shifted_rows
from perfloop_analyzer.detectors.robust import difference_scale, fill_gaps, mad_scale, quiet_nanmedian
from perfloop_analyzer.detectors.season import find_periods, learned_movement, remove_season
from perfloop_analyzer.detectors.seasonal_profile import MIN_DAYS, Profile, learn_profile
from perfloop_analyzer.series import Grid


@pytest.mark.parametrize("period", [7, 12, 24])
def test_the_period_is_found(period: int) -> None:
    """A sine under noise of a third of its height shows its period."""
    values = np.sin(2 * np.pi * np.arange(365) / period) * 3 + np.random.default_rng(1).standard_normal((10, 365))
    assert (find_periods(values) == period).mean() >= 0.9


def test_noise_has_no_season() -> None:
    """What chance explains is left in."""
    values = np.random.default_rng(2).standard_normal((200, 365))
    calm, periods = remove_season(values.copy())
    assert (periods > 0).mean() < 0.02
    assert np.allclose(calm[periods == 0], values[periods == 0])


def test_profile_knows_the_time_of_day() -> None:
    """The expected value follows the wave; a series without one has no profile."""
    grid = Grid(0.0, 600.0, 144 * 7)
    wave = 50 + 20 * np.sin(2 * np.pi * grid.times() / 86_400)
    values = np.vstack([wave, np.full(grid.points, 50.0)]) + np.random.default_rng(3).standard_normal((2, grid.points))
    profile = learn_profile(values, grid)
    noon = 86_400.0 * 10 + 6 * 3600
    expected, scale = profile.at(noon)
    assert expected[0] == pytest.approx(70.0, abs=1.0)
    assert 0.5 < scale[0] < 2.0
    assert np.isnan(expected[1])


def test_profile_needs_days() -> None:
    """Two days teach nothing about days."""
    grid = Grid(0.0, 600.0, 144 * 2)
    assert np.isnan(learn_profile(np.ones((1, grid.points)), grid).at(0.0)[0]).all()


@given(st.integers(1, 7), st.integers(0, 143), st.floats(0.0, 3.0), st.integers(0, 2**32 - 1))
def test_what_grows_does_not_deviate(days: int, more: int, growth: float, seed: int) -> None:
    """A wave that grows by up to three times its noise a day has no profile of two days, and fits that of more."""
    grid = Grid(0.0, 600.0, 144 * 7)
    clock = grid.times()
    known = 144 * days + more
    wave = 50 + 20 * np.sin(2 * np.pi * clock / 86_400) + growth * clock / 86_400
    values = wave + np.random.default_rng(seed).standard_normal(grid.points)
    values[: max(0, grid.points - known)] = np.nan
    expected, scale = learn_profile(values[None, :], grid).at(grid.end + grid.step)
    if known <= 144 * (MIN_DAYS - 1):
        assert np.isnan(expected[0])
    elif np.isfinite(expected[0]):
        following = 50 + 20 * np.sin(2 * np.pi * (grid.end + grid.step) / 86_400) + growth * 7
        assert abs(following - expected[0]) < 7.0 * scale[0]


@pytest.mark.parametrize("present", [1, 2, 3, 5])
def test_only_days_with_data_count(present: int) -> None:
    """Days of the grid without data are none, and a phase with its neighbours is one day."""
    grid = Grid(0.0, 600.0, 144 * 7)
    wave = 50 + 20 * np.sin(2 * np.pi * grid.times() / 86_400)
    values = wave + np.random.default_rng(6).standard_normal(grid.points)
    values[: 144 * (7 - present)] = np.nan
    values[144 * 6 :][10:50] = np.nan
    expected = learn_profile(values[None, :], grid).expected[0]
    assert np.isfinite(expected[80:140]).all() == (present >= MIN_DAYS)
    # Of the phases 11 to 48 the last day has no data, not even beside them.
    assert np.isfinite(expected[11:49]).all() == (present > MIN_DAYS)


def test_intervals_cover_every_place() -> None:
    """Every range of thirty points lies inside an interval of at most four times its size."""
    found = seeded_intervals(365, 12)
    for begin in range(0, 335, 5):
        assert any(a <= begin and b >= begin + 30 and b - a <= 120 for a, b in found)


def test_the_screen_sees_a_recent_shift_and_lets_noise_pass() -> None:
    """Few noisy rows are searched; a row whose end moved always is."""
    values = np.random.default_rng(4).standard_normal((500, 240))
    values[3, -12:] += 4.0
    rows = shifted_rows(values)
    assert 3 in rows
    assert len(rows) < 25
    assert not len(shifted_rows(np.full((2, 240), np.nan)))


def test_scales() -> None:
    """Both scales estimate a standard deviation; a step does not disturb that of the differences."""
    values = np.random.default_rng(11).standard_normal((1, 4000))
    values[0, 2000:] += 100.0
    assert difference_scale(values)[0] == pytest.approx(1.0, rel=0.1)
    assert mad_scale(values[:, :2000], np.zeros(1))[0] == pytest.approx(1.0, rel=0.1)
    assert np.isnan(quiet_nanmedian(np.full((1, 3), np.nan))).all()


def test_gaps_repeat_the_value_before() -> None:
    """The first value goes backwards, empty rows become zero."""
    filled = fill_gaps(np.array([[np.nan, 1.0, np.nan, 3.0], [np.nan] * 4]))
    assert filled.tolist() == [[1.0, 1.0, 1.0, 3.0], [0.0] * 4]


def test_the_learned_season_is_a_line_between_phases_around_its_mean() -> None:
    """Phases of ten minutes become no staircase; a series without a season is left alone."""
    expected = np.vstack([10.0 * np.arange(144.0), np.full(144, np.nan)])
    times = 86_400.0 * 7 + 3000.0 + 5.0 * np.arange(240)
    movement = learned_movement(Profile(600.0, expected, np.ones_like(expected)), times)
    assert np.allclose(np.diff(movement[0]), 10.0 / 120)
    assert movement[0].mean() == pytest.approx(0.0, abs=1e-9)
    assert not movement[1].any()


def test_the_learned_season_goes_on_at_midnight() -> None:
    """After the last phase comes the first."""
    expected = np.where(np.arange(144) == 143, 5.0, 1.0)[None, :]
    times = 86_400.0 - 600.0 + 60.0 * np.arange(20)
    movement = learned_movement(Profile(600.0, expected, np.ones_like(expected)), times)
    assert movement[0, 0] - movement[0, 10:].mean() == pytest.approx(4.0)
    assert (np.diff(movement[0]) <= 1e-12).all()
