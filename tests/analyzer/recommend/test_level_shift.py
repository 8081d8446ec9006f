"""Levels before and after a change, under noise that remembers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from perfloop_analyzer.recommend.level_shift import AFTER, BEFORE, JITTER, KINDS, NORMAL, Noise, compare_levels


def test_one_kind_of_noise_is_generalized_least_squares() -> None:
    """The levels and their spread agree with the textbook's formula, written out with inverses."""
    rng = np.random.default_rng(1)
    times = np.array([0.0, 1, 2, 3, 5, 6, 7, 9])
    values, spans = rng.standard_normal(8), np.repeat([BEFORE, AFTER], 4)
    every = Noise.at(times)
    for kind in (0, 10, 23):
        one = Noise(every.whiten[kind : kind + 1], every.half_logs[kind : kind + 1])
        levels = compare_levels(one, values, spans)
        covariance = np.linalg.inv(every.whiten[kind].T @ every.whiten[kind])
        inverse = np.linalg.inv(covariance)
        design = np.column_stack([spans == BEFORE, spans == AFTER]).astype(float)
        spread = np.linalg.inv(design.T @ inverse @ design)
        means = spread @ design.T @ inverse @ values
        rest = values - design @ means
        assert levels.means[0] == pytest.approx(means, abs=1e-6)
        assert levels.covariances[0] == pytest.approx(spread * (rest @ inverse @ rest) / (8 - 2 - KINDS), rel=1e-5)
        # The half logarithm is that of the determinant: a normal density has it, too.
        peak = multivariate_normal(np.zeros(8), covariance).logpdf(np.zeros(8))
        assert -every.half_logs[kind] - 4 * np.log(2 * np.pi) == pytest.approx(peak, rel=1e-5)


def test_noise_of_a_kind_has_the_covariance_that_it_says() -> None:
    """The nearest times resemble each other most; a gap counts as the windows that it lasts."""
    noise = Noise.at(np.array([0.0, 1.0, 4.0]))
    covariance = np.linalg.inv(noise.whiten[0].T @ noise.whiten[0])
    memory = covariance[0, 1]
    assert covariance[0, 2] == pytest.approx(memory**4)
    assert np.diag(covariance) == pytest.approx(np.full(3, 1.0 + JITTER))


def test_a_long_memory_widens_what_is_known() -> None:
    """The same step is sure in noise without memory, and not in noise with much of it."""
    rng = np.random.default_rng(2)
    white, walk = rng.standard_normal(40), np.cumsum(rng.standard_normal(40))
    spans, times = np.repeat([BEFORE, AFTER], [30, 10]), np.arange(40.0)
    chances = []
    for noise in (white, (walk - walk.mean()) / walk.std()):
        step = np.where(spans == AFTER, -1.8, 0.0)
        levels = compare_levels(Noise.at(times), noise - noise[30] + noise[29] + step, spans)
        chances.append(levels.chance_above(1.0))
    assert chances[0] < chances[1]


def test_an_excursion_is_no_level() -> None:
    """A short high span of a series that often has such spans is mostly its own movement; far above it, it is not."""
    rng = np.random.default_rng(3)
    usual = rng.standard_normal(75)
    spans = np.repeat([NORMAL, BEFORE, AFTER], [60, 5, 10])
    noise = Noise.at(np.arange(75.0))
    for height, least, most in ((1.0, 0.02, 1.0), (20.0, 0.0, 1e-6)):
        values = usual + np.where(spans == BEFORE, height, 0.0)
        assert least <= compare_levels(noise, values, spans).chance_above(1.0) <= most
