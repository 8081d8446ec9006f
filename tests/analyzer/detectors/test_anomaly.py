"""The anomaly score against hand-made bands and against noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.detectors.anomaly import (
    CALM,
    DEGREES,
    GUARD,
    PERSIST,
    RECURRENT,
    RECURRENT_LONG,
    RISES,
    Band,
    excursion_peaks,
    find_anomalies,
    local_band,
    recurrent_tail,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LEVEL = 1e-4
POINTS = 240


def _noise(rows: int, points: int = 240, seed: int = 0) -> np.ndarray:
    return 10.0 + np.random.default_rng(seed).standard_normal((rows, points))


def test_score_is_one_on_the_edge_and_zero_in_the_middle() -> None:
    """1.0 is the boundary for every signal, whatever its unit."""
    values = _noise(1)
    band = Band(np.array([10.0]), np.array([1.0]), np.array([DEGREES]), ())
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


def _bursty(rows: int, points: int, seed: int) -> np.ndarray:
    """Return noise around 10 with bursts of one to three points, up to 100 high, in about a sixth of the points."""
    rng = np.random.default_rng(seed)
    values = _noise(rows, points, seed)
    for row in values:
        for start in np.flatnonzero(rng.random(points) < 0.09):
            row[start : start + rng.integers(1, 4)] = 10.0 + 40.0 * rng.lognormal(0.0, 0.35)
    return values


def _bimodal(rows: int, points: int, seed: int) -> np.ndarray:
    """Return a level that is 10 in most minutes and 30 in a fifth of them, for four points at a time."""
    rng = np.random.default_rng(seed)
    values = _noise(rows, points, seed)
    high = np.repeat(rng.random((rows, points // 4)) < 0.2, 4, axis=1)
    return values + 20.0 * high


def _beginnings(values: np.ndarray) -> int:
    """Return how often a row goes beyond its band while a window of POINTS moves over the values."""
    count, before = 0, np.zeros(len(values), dtype=np.bool_)
    for end in range(POINTS, values.shape[1] + 1):
        window = values[:, end - POINTS : end]
        found = find_anomalies(window, local_band(window), "above", 0.0, LEVEL).p_value <= LEVEL
        count += int((found & ~before).sum())
        before = found
    return count


@pytest.mark.parametrize("series", [_bursty, _bimodal])
def test_what_recurs_is_normal(series: Callable[[int, int, int], np.ndarray]) -> None:
    """Ten bursty or bimodal series begin few anomalies within hours; a tail around their bulk finds dozens."""
    assert _beginnings(series(10, POINTS + 360, 5)) <= 3


@pytest.mark.parametrize("series", [_bursty, _bimodal])
def test_what_is_far_beyond_the_bursts_is_found(series: Callable[[int, int, int], np.ndarray]) -> None:
    """The band of a bursty series ends where its bursts do."""
    values = series(10, POINTS, 6)
    values[:, -PERSIST:] = 400.0
    assert (find_anomalies(values, local_band(values), "above", 0.0, LEVEL).p_value <= LEVEL).all()


@pytest.mark.parametrize("earlier", range(RECURRENT))
def test_a_failure_that_comes_back_is_found_each_time(earlier: int) -> None:
    """Three failures in one window do not hide the fourth."""
    values = _noise(1)
    for number in range(earlier):
        values[0, 30 + 50 * number : 35 + 50 * number] += 40.0
    values[0, -PERSIST:] += 40.0
    assert find_anomalies(values, local_band(values), "above", 0.0, LEVEL).p_value[0] <= LEVEL


def test_a_lasting_failure_does_not_become_its_own_past() -> None:
    """One excursion is one, however long it lasts: it does not recur with itself."""
    values = _noise(1)
    values[0, -100:] += 40.0
    assert find_anomalies(values, local_band(values), "above", 0.0, LEVEL).p_value[0] <= LEVEL


def test_an_anomaly_lasts_until_three_points_are_inside() -> None:
    """A single point within the band does not end it."""
    values = _noise(2)
    values[:, -6:] += 40.0
    values[0, -2:] -= 40.0
    values[1, -3:] -= 40.0
    assert find_anomalies(values, local_band(values), "above", 0.0, LEVEL).lingers.tolist() == [True, False]


def test_a_young_series_needs_more() -> None:
    """A scale from two dozen points is uncertain: what is significant after hours is not after minutes."""
    values = _noise(1)
    values[0, -PERSIST:] += 14.0
    short = values[:, -40:]
    old = find_anomalies(values, local_band(values), "above", 0.0, LEVEL).p_value[0]
    young = find_anomalies(short, local_band(short), "above", 0.0, LEVEL).p_value[0]
    assert old < LEVEL / 10 < LEVEL < young


def _naive_peaks(row: np.ndarray, count: int) -> list[float]:
    """Return the heights of the highest separate excursions, one point after the other."""
    left = [value if np.isfinite(value) else -np.inf for value in row]
    peaks = []
    for _ in range(count):
        height = max(left)
        peaks.append(height)
        peak, low = left.index(height), [not value > height / 2 for value in left]
        end = peak
        while end + 1 < len(left) and not (end - CALM >= peak and all(low[end - CALM + 1 : end + 1])):
            end += 1
        start = peak
        while start > 0 and not (start >= CALM and all(low[start - CALM : start])):
            start -= 1
        for step in (1, -1):
            lowest = left[end if step > 0 else start]
            while 0 <= (place := (end if step > 0 else start) + step) < len(left) and left[place] <= RISES * lowest:
                lowest = min(lowest, left[place])
                start, end = min(start, place), max(end, place)
        for place in range(start, end + 1):
            left[place] = -np.inf
    return peaks


@settings(max_examples=30)
@given(
    hnp.arrays(np.float64, (3, 40), elements=st.sampled_from([-1.0, 0.0, 1.0, 3.0, 7.0, 8.0, np.nan])),
    st.integers(1, 5),
)
def test_peaks_are_the_naive_ones(excess: np.ndarray, count: int) -> None:
    """Declustering in arrays gives what a loop gives."""
    expected = [[max(height, 0.0) for height in _naive_peaks(row, count)] for row in excess]
    assert np.fmax(excursion_peaks(excess, count), 0.0).tolist() == expected


def test_a_slow_rise_is_one_excursion() -> None:
    """Each half of a leak's way up is none of its own; bursts beside it are."""
    excess = np.random.default_rng(3).normal(0.0, 1.0, (1, 200))
    excess[0, 60:80] += np.linspace(40.0, 800.0, 20)
    excess[0, 120:123], excess[0, 160:163] = 90.0, 70.0
    first, *others = excursion_peaks(excess, 5)[0]
    assert first == pytest.approx(800.0, abs=5.0)
    assert others[:2] == [90.0, 70.0]
    assert max(others[2:]) < 4.0


def test_the_tail_is_that_of_exponential_excursions() -> None:
    """Of single points with heights of mean 5, far apart, a level passed once in 1,000 points is found within 30%."""
    excess = np.random.default_rng(7).standard_normal((400, 3000)) * 0.01
    excess[:, ::10] = 20.0 + np.random.default_rng(8).exponential(5.0, (400, 300))
    edges = recurrent_tail(excess, 600.0, "above").edge(1e-3)
    truth = 20.0 + 5.0 * np.log(0.1 / 1e-3)
    assert np.median(edges) == pytest.approx(truth, rel=0.3)


def test_history_knows_recurrent_excursions_and_no_season() -> None:
    """Peaks of every day are the reach; a daily wave and a level that lasted for a day are none."""
    clock = np.arange(7 * 144)
    wave = 50.0 + 40.0 * np.sin(2 * np.pi * clock / 144)
    peaks = np.full(len(clock), 10.0)
    peaks[20::144] = 90.0
    step = np.where((clock > 300) & (clock < 444), 90.0, 10.0)
    reach = recurrent_tail(np.vstack([wave, peaks, step]), 600.0, "above").reach
    assert reach[0] < 15.0
    assert reach[1] == 80.0
    assert reach[2] == 0.0
    assert RECURRENT_LONG <= 7
    assert (recurrent_tail(np.vstack([wave, peaks, step]), 600.0, "below").reach[1:] == 0.0).all()


def test_noise_that_jumps_does_not_hide_what_lasts() -> None:
    """Three points in a row, none of which is unusual alone, are unusual together; two are not."""
    values = 10.0 + np.random.default_rng(5).random((1, POINTS))
    band = local_band(values)
    reach = 5.0 * band.scale[0]
    found = []
    for count in (2, 3):
        values[0, -3:] = band.expected[0]
        values[0, -count:] += reach
        seen = find_anomalies(values, band, "above", 0.0, LEVEL)
        assert values[0, -1] < seen.upper[0]
        found.append((bool(seen.p_value[0] <= LEVEL), bool(seen.score[0] >= 1.0)))
    assert found == [(False, False), (True, True)]


def test_a_young_series_is_judged_by_single_points() -> None:
    """Before its noise is known, three points that are not unusual alone are not unusual together."""
    values = 10.0 + np.random.default_rng(5).random((1, POINTS))
    values[0, : -GUARD - 40] = np.nan
    band = local_band(values)
    values[0, -3:] = band.expected[0] + 5.0 * band.scale[0]
    assert find_anomalies(values, band, "above", 0.0, LEVEL).p_value[0] > LEVEL
