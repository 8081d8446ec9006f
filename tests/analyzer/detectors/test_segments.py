"""The second opinion: real steps stay significant, autocorrelated noise does not become so."""

from __future__ import annotations

import numpy as np
from scipy import stats

from perfloop_analyzer.detectors.segments import block_p_value


def test_it_is_the_t_test_of_block_means() -> None:
    """On whole blocks the p-value is scipy's."""
    values = np.random.default_rng(1).standard_normal(240)
    means = values.reshape(20, 12).mean(axis=1)
    oracle = stats.ttest_ind(means[:15], means[15:]).pvalue
    assert abs(block_p_value(values, 180) - oracle) < 1e-9


def test_a_real_step_stays_significant_after_a_minute() -> None:
    """Twelve points after a step of four sigma are enough."""
    values = np.random.default_rng(2).standard_normal(240)
    values[-12:] += 4.0
    assert block_p_value(values, 228) < 1e-7


def test_noise_that_remembers_is_not_called_a_step() -> None:
    """At the place where such noise moves most, the p-value stays large in nearly every row."""
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((200, 240))
    for at in range(1, 240):
        noise[:, at] = 0.5 * noise[:, at - 1] + np.sqrt(0.75) * noise[:, at]
    best = [min(block_p_value(row, index) for index in range(72, 228, 12)) for row in noise]
    assert sum(p < 1e-5 for p in best) == 0


def test_too_little_says_nothing_and_constants_say_all() -> None:
    """No full block after the step is no evidence; a constant that jumps needs no test."""
    assert block_p_value(np.random.default_rng(4).standard_normal(240), 235) == 1.0
    assert block_p_value(np.arange(20.0), 10) == 1.0
    assert block_p_value(np.repeat([1.0, 2.0], 120), 120) == 0.0
    assert block_p_value(np.ones(240), 120) == 1.0
