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


def _remembering(rho: float, rows: int, seed: int, width: int = WIDTH) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((rows, width))
    for at in range(1, width):
        noise[:, at] = rho * noise[:, at - 1] + np.sqrt(1 - rho**2) * noise[:, at]
    return noise


def test_a_step_on_a_drift_keeps_its_place() -> None:
    """Neither the drift nor its removal moves a real step."""
    values = _series(10, 20) + np.linspace(0.0, 10.0, WIDTH)
    values[:, 120:] += 5.0
    found = find_change_points(values)
    assert [point.row for point in found] == list(range(20))
    assert all(abs(point.index - 120) <= 3 for point in found)
    assert np.mean([point.after - point.before for point in found]) == pytest.approx(5.0, abs=0.5)
    assert all(point.is_step for point in found)


def test_the_levels_beside_a_step_on_a_drift_are_those_at_the_step() -> None:
    """They are values that the series had, not those of a series without its drift."""
    values = 0.5 * _series(11) + 100.0 + 0.2 * np.arange(WIDTH)
    values[0, 180:] += 20.0
    (found,) = find_change_points(values)
    assert found.before == pytest.approx(136.0, abs=1.0)
    assert found.after == pytest.approx(156.0, abs=1.0)


def test_a_bend_is_a_change_but_no_step() -> None:
    """Where a level begins to climb, the slope changes and the level does not."""
    values = 0.3 * _series(12, 10) + 0.2 * np.maximum(0, np.arange(WIDTH) - 200)
    found = find_change_points(values)
    assert {point.row for point in found} == set(range(10))
    assert sum(abs(point.index - 200) <= 8 for point in found) >= 9
    assert not any(point.is_step for point in found)


@pytest.mark.parametrize("shape", [np.expm1(2 * np.linspace(0, 1, WIDTH)), np.linspace(0, 1, WIDTH) ** 2])
def test_smooth_growth_holds_no_change(shape: np.ndarray) -> None:
    """Growth that bends slowly all the time has no moment at which it changed."""
    values = 100.0 + 10.0 * shape + 0.5 * _remembering(0.5, 20, 13)
    assert len({point.row for point in find_change_points(values)}) <= 2


def test_a_random_walk_is_no_staircase() -> None:
    """A price wanders; few of its places are called changes."""
    walks = np.cumsum(_series(14, 50), axis=1)
    assert len(find_change_points(walks)) <= 25


def test_steps_among_outliers_and_noise_that_remembers_are_found() -> None:
    """As in a well log: levels of uneven length, bursts of outliers of up to five points, correlation 0.5."""
    rng = np.random.default_rng(15)
    truth = [50, 90, 180, 210, 300, 370, 400, 520, 610]
    hits = extra = 0
    for row in _remembering(0.5, 10, 16, 660):
        for number, at in enumerate(truth):
            row[at:] += 6.0 if number % 2 else -6.0
        for at in rng.integers(5, 655, 7):
            row[at : at + rng.integers(1, 6)] -= 15.0
        found = [point.index for point in find_change_points(row[None, :])]
        hits += sum(any(abs(at - real) <= 5 for at in found) for real in truth)
        extra += sum(all(abs(at - real) > 5 for real in truth) for at in found)
    assert hits >= 85
    assert extra <= 15


def test_a_louder_half_is_no_string_of_steps() -> None:
    """Excursions are judged by the noise around them, not by that of the calm half."""
    values = _series(17, 30)
    values[:, 180:] *= 5.0
    assert len({point.row for point in find_change_points(values)}) <= 4


def test_short_rows_have_changes_too() -> None:
    """Twenty points suffice for a step of six sigma, also with a gap."""
    values = _series(18, 30)[:, :20]
    values[:, 9:] += 6.0
    values[:10, 15] = np.nan
    hits = {point.row for point in find_change_points(values) if abs(point.index - 9) <= 1}
    assert len(hits) >= 28


def test_pull_in_leaves_a_step_alone_and_cuts_a_spike() -> None:
    """Only what its neighbourhood does not share is pulled in."""
    values = _series(9) * 0.1
    values[0, 180:] += 10.0
    values[0, 50] = 99.0
    pulled = pull_in(values)
    assert pulled[0, 50] < 2.0
    assert np.allclose(pulled[0, 185:], values[0, 185:], atol=0.5)
