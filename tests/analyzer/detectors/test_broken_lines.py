"""Models that compete: costs against plain least squares, places, resolution, and what wins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_analyzer.detectors.broken_lines import find_places, fit_broken_lines
from perfloop_analyzer.detectors.preparation import resolution
from perfloop_analyzer.detectors.whitened import Costs


def _oracle(row: np.ndarray, rho: float, parameters: int) -> tuple[float, np.ndarray]:
    """Return squared residuals and fit of generalised least squares with the whole covariance of AR(1) noise."""
    width = len(row)
    lags = np.abs(np.subtract.outer(np.arange(width), np.arange(width)))
    inverse = np.linalg.inv(rho**lags) if rho else np.eye(width)
    design = np.vander(np.arange(width, dtype=float), parameters)
    beta = np.linalg.solve(design.T @ inverse @ design, design.T @ inverse @ row)
    rest = row - design @ beta
    return float(rest @ inverse @ rest) * (1 - rho**2), design @ beta


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.4, 0.9]),
    st.sampled_from([1, 2]),
    st.integers(0, 20),
    st.integers(4, 30),
)
def test_costs_are_generalised_least_squares(seed: int, rho: float, parameters: int, begin: int, size: int) -> None:
    """Cumulative sums give what the covariance matrix gives, for any segment."""
    values = np.random.default_rng(seed).standard_normal((3, 60))
    costs = Costs(values, rho, sloped=parameters == 2)
    rows, end = np.array([1]), np.array([begin + size])
    rest, fit = _oracle(values[1, begin : begin + size], rho, parameters)
    assert costs(rows, np.array([begin]), end)[0] == pytest.approx(rest, rel=1e-6, abs=1e-9)
    first, last = costs.ends(rows, np.array([begin]), end)
    assert (first[0], last[0]) == pytest.approx((fit[0], fit[-1]), rel=1e-6, abs=1e-8)


def test_places_hold_steps_and_kinks() -> None:
    """What changes is among the places that are tried."""
    clock = np.arange(300)
    step = np.where(clock >= 100, 5.0, 0.0)
    kink = 0.2 * np.maximum(0, clock - 180)
    marks = find_places(np.vstack([step, kink]) + 0.1 * np.random.default_rng(1).standard_normal((2, 300)))
    assert marks[0, 100]
    assert marks[1, 170:190].any()
    assert marks.sum(axis=1).max() < 100


def test_the_fit_is_exact_without_noise() -> None:
    """Lines that break are given back, with the values on both sides of the break."""
    row = np.concatenate([np.linspace(0.0, 10.0, 50), np.linspace(30.0, 20.0, 40)])
    (found,) = fit_broken_lines(row[None, :], np.zeros(1), 1e-3)
    assert found.changes.tolist() == [50]
    assert (found.before[0], found.after[0]) == pytest.approx((10.0, 30.0), abs=0.2)
    assert np.allclose(found.fit, row, atol=0.3)
    assert found.level[0]


def test_rounding_is_noise() -> None:
    """A slope in whole numbers is a line, not a staircase of exact levels."""
    rows = np.floor(np.outer([0.05, 0.1, 0.3], np.arange(200.0)))
    assert resolution(rows).tolist() == [1.0, 1.0, 1.0]
    assert [len(one.changes) for one in fit_broken_lines(rows, resolution(rows), 1e-3)] == [0, 0, 0]
    assert resolution(np.ones((1, 5))).tolist() == [0.0]
