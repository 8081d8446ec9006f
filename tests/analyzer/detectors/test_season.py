"""Periods, patterns, profiles, intervals and the screen."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.detectors.candidates import seeded_intervals
from perfloop_analyzer.detectors.change_point import shifted_rows
from perfloop_analyzer.detectors.robust import difference_scale, fill_gaps, mad_scale, quiet_nanmedian
from perfloop_analyzer.detectors.season import find_periods, remove_season
from perfloop_analyzer.detectors.seasonal_profile import learn_profile
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
