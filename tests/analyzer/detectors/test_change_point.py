"""Known steps in seeded series, and what must not look like one."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.detectors.change_point import find_change_points
from perfloop_analyzer.detectors.preparation import pull_in

WIDTH = 365


def _series(seed: int = 1, rows: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH))


def test_a_step_is_found_where_it_is_with_its_levels() -> None:
    """Two sigma are enough to place a step within five points."""
    values = _series(rows=20)
    values[:, 200:] += 2.0
    found = find_change_points(values)
    assert len({point.row for point in found}) == 20
    assert sum(abs(point.index - 200) <= 5 for point in found) >= 19
    assert found[0].after - found[0].before == pytest.approx(2.0, abs=0.5)
    assert all(point.p_value <= 1e-3 for point in found)


def test_several_steps_up_and_down() -> None:
    """Each step of a staircase is found."""
    values = _series()
    values[0, 100:] += 4.0
    values[0, 180:] -= 4.0
    values[0, 300:] += 4.0
    assert pytest.approx([point.index for point in find_change_points(values)], abs=2) == [100, 180, 300]


def test_noise_holds_no_step() -> None:
    """Of a thousand noisy series, Gaussian and heavy-tailed, hardly one gives a step."""
    heavy = np.random.default_rng(2).standard_t(3, (500, WIDTH))
    assert len(find_change_points(np.vstack([_series(3, 500), heavy]))) <= 5


def test_a_trend_is_no_step() -> None:
    """A drift leaves no staircase behind."""
    values = _series(4, 50) + np.linspace(0.0, 6.0, WIDTH)
    assert len({point.row for point in find_change_points(values)}) <= 3


def test_a_season_is_no_step_and_hides_none() -> None:
    """The daily wave is taken away before steps are looked for."""
    wave = 3.0 * np.sin(2 * np.pi * np.arange(WIDTH) / 24)
    calm = _series(5, 30) + wave
    assert len({point.row for point in find_change_points(calm)}) <= 2
    calm[:, 150:] += 3.0
    hits = {point.row for point in find_change_points(calm) if abs(point.index - 150) <= 5}
    assert len(hits) >= 28


def test_autocorrelated_noise_is_not_a_string_of_steps() -> None:
    """Neighbouring points that resemble each other carry less information, and the p-value accounts for it."""
    shocks = _series(6, 200)
    values = shocks.copy()
    for at in range(1, WIDTH):
        values[:, at] = 0.5 * values[:, at - 1] + shocks[:, at]
    assert len({point.row for point in find_change_points(values, 1e-6)}) <= 4


def test_gaps_keep_the_place() -> None:
    """The index is that of the series with its gaps."""
    values = _series(7)
    values[0, 200:] += 5.0
    values[0, 40:90] = np.nan
    values[0, 250:260] = np.nan
    assert pytest.approx([point.index for point in find_change_points(values)], abs=1) == [200]


def test_rows_without_data_or_too_short_give_nothing() -> None:
    """Nothing is invented from missing data."""
    assert find_change_points(np.full((3, WIDTH), np.nan)) == []
    assert find_change_points(np.ones((1, 5))) == []
    assert find_change_points(np.empty((0, WIDTH))) == []
    assert find_change_points(np.ones((4, WIDTH))) == []


def test_rows_do_not_disturb_each_other() -> None:
    """A row gives the same answer alone and in company."""
    values = _series(8, 600)
    values[::7, 120:] += 3.0
    together = [point for point in find_change_points(values) if point.row == 7]
    alone = find_change_points(values[7:8])
    assert [point.index for point in alone] == [point.index for point in together]


def test_pull_in_leaves_a_step_alone_and_cuts_a_spike() -> None:
    """Only what its neighbourhood does not share is pulled in."""
    values = _series(9) * 0.1
    values[0, 180:] += 10.0
    values[0, 50] = 99.0
    pulled = pull_in(values)
    assert pulled[0, 50] < 2.0
    assert np.allclose(pulled[0, 185:], values[0, 185:], atol=0.5)
