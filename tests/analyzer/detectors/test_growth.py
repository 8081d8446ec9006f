"""The models of growth against least squares and against series that follow one of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from perfloop_analyzer.detectors.bridging import bridge_gaps, since_last_drop
from perfloop_analyzer.detectors.growth import Posterior, draw_futures, likeliest, weigh
from perfloop_analyzer.detectors.growth_shapes import NOISES, build_basis, innovations
from perfloop_analyzer.detectors.recurrence import find_recurrence

POINTS = 400
CLOCK = np.arange(POINTS) / POINTS


def _weight(posterior: Posterior, kind: str) -> float:
    places = [place for place, shape in enumerate(posterior.basis.shapes) if shape.kind == kind]
    return float(posterior.weights[:, places].sum())


def test_a_line_in_white_noise_is_fitted_by_least_squares() -> None:
    """Slope and its error are those of the textbook."""
    values = 3.0 + 0.5 * CLOCK + np.random.default_rng(1).normal(0, 0.1, POINTS)
    posterior = weigh(values)
    oracle = stats.linregress(np.arange(POINTS), values)
    fit = likeliest(posterior)
    assert fit[1] - fit[0] == pytest.approx(oracle.slope, rel=1e-6)
    error = np.sqrt(posterior.basis.inverses[0][0][1, 1] * posterior.squares[0, 0] / (POINTS - 2))
    assert error / (POINTS / np.sqrt(12.0)) == pytest.approx(oracle.stderr, rel=1e-2)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("line", CLOCK),
        ("exponential", 1.0 - np.exp(-4 * CLOCK)),
        ("parabola", CLOCK**2),
        ("onset", np.maximum(0.0, CLOCK - 0.8) * 5),
    ],
)
def test_the_shape_of_a_growth_is_recognised(kind: str, shape: np.ndarray) -> None:
    """In little noise most of the weight is where it belongs; a curve's is shared among curves."""
    posterior = weigh(0.5 + shape + np.random.default_rng(2).normal(0, 0.02, POINTS))
    curves = ("exponential", "parabola")
    found = sum(_weight(posterior, one) for one in (curves if kind in curves else (kind,)))
    assert found > 0.8
    assert posterior.not_rising < 1e-6 or kind == "exponential"


def test_a_random_walk_is_no_growth() -> None:
    """The probability that it does not grow is about as often below a level as the level says."""
    walks = np.cumsum(np.random.default_rng(3).standard_normal((100, POINTS)), axis=1)
    assert (np.array([weigh(walk).not_rising for walk in walks]) < 0.01).mean() <= 0.02


def test_innovations_of_a_noise_are_white() -> None:
    """The filter undoes the process that it stands for."""
    phi, theta = NOISES[5]
    shocks = np.random.default_rng(4).standard_normal(POINTS)
    series = np.zeros(POINTS)
    series[0] = shocks[0]
    for at in range(1, POINTS):
        series[at] = phi * series[at - 1] + shocks[at] + theta * shocks[at - 1]
    assert innovations(series, 5)[1:] == pytest.approx(shocks[1:])


def test_futures_go_on_from_the_newest_value() -> None:
    """A random walk's next value is one step away, and its spread grows at least with the root of time."""
    walk = np.cumsum(np.random.default_rng(5).standard_normal(POINTS))
    futures = np.concatenate(list(draw_futures(walk, weigh(walk), 100, 400, 0.0)), axis=1)
    assert futures.shape == (100, 400)
    assert np.median(futures[0]) == pytest.approx(walk[-1], abs=1.0)
    assert futures[99].std() / futures[0].std() > 8.0


def test_columns_have_the_same_scale() -> None:
    """Priors of one width fit all coefficients."""
    columns = build_basis(POINTS, 100.0).at(np.arange(POINTS, dtype=np.float64))
    assert columns.std(axis=0)[1:] == pytest.approx(1.0, rel=0.1)


def test_what_recurs_must_predict() -> None:
    """A day of data that comes back is found beside growth; noise that wanders is not."""
    clock = np.arange(1008)
    season = find_recurrence(clock / 1008 + 0.1 * np.sin(2 * np.pi * clock / 144), 600.0)
    assert season.period == 144.0
    assert season.over(144, 288) == pytest.approx(0.1 * np.sin(2 * np.pi * clock[:288] / 144), abs=0.02)
    noise = np.zeros(1008)
    for at in range(1, 1008):
        noise[at] = 0.97 * noise[at - 1] + np.random.default_rng(at).standard_normal()
    assert find_recurrence(noise, 600.0).period == 0.0


def test_a_rotation_of_no_whole_number_of_points_is_found() -> None:
    """Over twenty teeth the phase of the last is still right."""
    teeth = np.arange(1008) / 43.7 % 1.0
    season = find_recurrence(teeth, 600.0)
    assert season.period == pytest.approx(43.7, abs=0.1)
    assert np.median(np.abs(season.over(0, 1008) + teeth.mean() - teeth)) < 0.05


def test_gaps_are_bridged_by_noise_like_the_rest() -> None:
    """The filled points scatter as their neighbours do, and what is known stays."""
    values = np.random.default_rng(6).standard_normal(1000)
    holed = values.copy()
    holed[np.random.default_rng(7).random(1000) < 0.3] = np.nan
    holed[0] = values[0]
    filled = bridge_gaps(holed)
    missing = np.isnan(holed)
    assert (filled[~missing] == values[~missing]).all()
    assert filled[missing].std() == pytest.approx(1.0, rel=0.35)
    assert len(bridge_gaps(np.full(100, np.nan))) == 0


def test_only_the_growth_since_a_restart_that_was_passed_counts() -> None:
    """Below the level of an earlier fall the fall still counts: it may come again."""
    fallen = np.concatenate([np.linspace(0, 5, 50), np.linspace(0, 4, 50)])
    passed = np.concatenate([np.linspace(0, 5, 50), np.linspace(0, 6, 50)])
    assert len(since_last_drop(fallen)) == 100
    assert len(since_last_drop(passed)) == 50
