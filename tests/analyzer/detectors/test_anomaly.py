"""The anomaly score against hand-made bands and against noise."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.detectors.anomaly import Band, find_anomalies, local_band

LEVEL = 1e-4


def _noise(rows: int, points: int = 240, seed: int = 0) -> np.ndarray:
    return 10.0 + np.random.default_rng(seed).standard_normal((rows, points))


def test_score_is_one_on_the_edge_and_zero_in_the_middle() -> None:
    """1.0 is the boundary for every signal, whatever its unit."""
    values = _noise(1)
    band = Band(np.array([10.0]), np.array([1.0]))
    seen = find_anomalies(values, band, "above", 0.0, LEVEL)
    values[0, -1] = seen.upper[0]
    assert find_anomalies(values, band, "above", 0.0, LEVEL).score[0] == pytest.approx(1.0)
    values[0, -1] = 10.0
    assert find_anomalies(values, band, "above", 0.0, LEVEL).score[0] == 0.0


def test_a_lasting_jump_is_found_and_a_single_point_is_not() -> None:
    """One wild point is no finding; three on the same side are."""
    values = _noise(2)
    values[0, -3:] += 40.0
    values[1, -1] += 40.0
    p_values = find_anomalies(values, local_band(values), "above", 0.0, LEVEL).p_value
    assert p_values[0] < 1e-6
    assert p_values[1] > LEVEL


def test_the_harmless_direction_scores_zero() -> None:
    """A faster answer is no anomaly of a response time."""
    values = _noise(1)
    values[0, -3:] -= 40.0
    assert find_anomalies(values, local_band(values), "above", 0.0, LEVEL).score[0] == 0.0
    assert find_anomalies(values, local_band(values), "below", 0.0, LEVEL).score[0] > 1.0


def test_least_deviation_widens_the_band_of_a_flat_series() -> None:
    """A series without any spread is not anomalous because of a crumb."""
    values = np.full((1, 240), 0.01)
    values[0, -3:] = 0.012
    assert find_anomalies(values, local_band(values), "above", 0.02, LEVEL).score[0] < 1.0


def test_too_little_data_gives_no_score() -> None:
    """Nothing is expected of a series that just appeared, or of one with a gap at its end."""
    values = np.full((2, 240), np.nan)
    values[0, -5:] = 1e9
    values[1, :-1] = 5.0
    seen = find_anomalies(values, local_band(values), "above", 0.0, LEVEL)
    assert seen.score.tolist() == [0.0, 0.0]
    assert np.isnan(seen.p_value).all()
    assert np.isnan(local_band(np.ones((1, 20))).expected).all()


def test_noise_stays_inside() -> None:
    """Among two thousand noisy series none reaches the level at which a finding begins."""
    seen = find_anomalies(_noise(2000, seed=3), local_band(_noise(2000, seed=3)), "above", 0.0, LEVEL)
    assert not (seen.p_value < LEVEL / 2000).any()
