"""Forecast of traffic: it follows rhythms, its bounds hold, and what carries no forecast is refused in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perfloop_analyzer.planning.traffic import (
    Forecast,
    Outlook,
    Refusal,
    forecast,
    forecast_all,
    forecast_peaks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
STEP = 3600.0


def _shop(points: int, seed: int = 1, *, noise: float = 0.05) -> np.ndarray:
    """Return requests per second by the hour: a day's rhythm, quiet weekends, noise."""
    rng = np.random.default_rng(seed)
    clock = np.arange(points)
    weekend = (clock // 24) % 7 >= 5
    return np.asarray(
        100 * np.exp(0.8 * np.sin(2 * np.pi * clock / 24) - 0.7 * weekend + noise * rng.standard_normal(points))
    )


def _forecast(history: np.ndarray, step: float, horizon: float) -> Forecast:
    found = forecast(history, step, 0.0, horizon)
    assert isinstance(found, Forecast), found
    return found


@pytest.mark.parametrize("horizon", [DAY, WEEK])
def test_a_rhythm_goes_on(horizon: float) -> None:
    """Day and week are continued: the error is the noise's, where the naive forecast has it twice."""
    whole = _shop(5 * 168)
    ahead = round(horizon / STEP)
    found = _forecast(whole[: 4 * 168], STEP, horizon)
    actual = whole[4 * 168 :][:ahead]
    assert np.abs(found.expected / actual - 1).mean() < 0.07
    assert found.expected.shape == found.lower.shape == found.upper.shape == (ahead,)


def test_bounds_hold_nine_of_ten() -> None:
    """Over forty series, a day ahead."""
    held = []
    for seed in range(40):
        whole = _shop(5 * 168, seed, noise=0.15)
        found = _forecast(whole[: 4 * 168], STEP, DAY)
        actual = whole[4 * 168 :][:24]
        held.append(((found.lower <= actual) & (actual <= found.upper)).mean())
    assert 0.85 <= np.mean(held) <= 0.97


def test_peaks_are_those_of_single_points() -> None:
    """The peak of five minutes is above that of an hour, and its bounds hold it."""
    held, above = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        whole = np.repeat(_shop(17 * 24, seed), 12) * np.exp(0.1 * rng.standard_normal(17 * 288))
        found = forecast_peaks(whole[None, : 16 * 288], (300.0, 12), 0.0, DAY)[0]
        assert isinstance(found, Outlook)
        held.append(found.peak.lower <= whole[16 * 288 :].max() <= found.peak.upper)
        above.append(found.peak.expected > found.path.expected.max())
        assert found.peak.lower <= found.peak.expected <= found.peak.upper
    assert np.mean(held) >= 0.8
    assert all(above)


def test_a_level_that_moved_is_taken_up() -> None:
    """Traffic that doubled three days ago is not forecast as if it had not."""
    whole = _shop(30 * 24)
    whole[24 * 24 :] *= 2
    found = _forecast(whole[: 27 * 24], STEP, DAY)
    assert np.abs(found.expected / whole[27 * 24 : 28 * 24] - 1).mean() < 0.25


def _stopped(points: int) -> np.ndarray:
    series = _shop(points)
    series[-8:] = 0.0
    return series


def _old(points: int) -> np.ndarray:
    series = _shop(points)
    series[-4:] = np.nan
    return series


def _holes(points: int) -> np.ndarray:
    series = _shop(points)
    series[1:-1][np.random.default_rng(1).random(points - 2) < 0.7] = np.nan
    return series


@pytest.mark.parametrize(
    ("history", "horizon", "reason"),
    [
        (np.full(200, np.nan), DAY, "no forecast: the past has no value"),
        (np.zeros(0), DAY, "no forecast: the past has no value"),
        (np.full(200, -1.0), DAY, "no forecast: none of its 200 values is a rate: a rate is 0 or more"),
        (np.full(200, np.inf), DAY, "no forecast: none of its 200 values is a rate: a rate is 0 or more"),
        (np.zeros(200), DAY, "no forecast: there was no request in 8 d"),
        (_shop(10), HOUR, "no forecast: the past has 10 h, and 60 min ahead take 18 h at least"),
        (_old(300), DAY, "no forecast: the newest value is 4 h old"),
        (_stopped(300), DAY, "no forecast: no request for 8 h, and it never paused before"),
        (_shop(40), DAY, "no forecast: the past has 40 h, and 24 h ahead take 3 d at least"),
        (_shop(6 * 24), WEEK, "no forecast: the past has 6 d, and 7 d ahead take 12 d at least"),
        (_shop(20), 12 * HOUR, "no forecast: the past has 20 h, and 12 h ahead take 36 h at least"),
    ],
)
def test_what_carries_no_forecast(history: np.ndarray, horizon: float, reason: str) -> None:
    """One sentence that says what is missing."""
    assert forecast(history, STEP, 0.0, horizon) == Refusal(reason)


def test_holes_are_counted() -> None:
    """More missing values than known ones."""
    found = forecast(_holes(300), STEP, 0.0, DAY)
    assert isinstance(found, Refusal)
    assert found.reason.startswith("no forecast: of the 300 values of the past")
    assert found.reason.endswith("are missing")


def test_a_pause_that_comes_every_night_is_no_stop() -> None:
    """Eight hours without a request every night: the forecast goes on in the middle of one."""
    clock = np.arange(14 * 24 + 4)
    series = np.where(clock % 24 < 8, 0.0, 50.0 + clock % 5)
    found = _forecast(series, STEP, DAY)
    assert found.expected[:4].max() < 10
    assert found.expected[6:18].min() > 30


def test_a_pause_that_is_longer_than_ever_is_a_stop() -> None:
    """The same, two days later."""
    clock = np.arange(14 * 24)
    series = np.where(clock % 24 < 8, 0.0, 50.0 + clock % 5)
    found = forecast(np.append(series, np.zeros(30)), STEP, 0.0, DAY)
    assert found == Refusal("no forecast: no request for 30 h, and the longest pause before was 8 h")


def test_rare_requests_are_no_stop() -> None:
    """One request in ten minutes pauses often by chance."""
    rng = np.random.default_rng(1)
    found = forecast(rng.poisson(0.5, 2000) / 300.0, 300.0, 0.0, HOUR)
    assert isinstance(found, Forecast)


def test_negative_values_are_missing() -> None:
    """A counter that was reset in between changes no more than a hole does."""
    holed, negative = _shop(500), _shop(500)
    holed[[100, 300, 301]] = np.nan
    negative[[100, 300, 301]] = -40.0
    for name in ("expected", "lower", "upper"):
        np.testing.assert_allclose(
            getattr(_forecast(negative, STEP, DAY), name), getattr(_forecast(holed, STEP, DAY), name)
        )


def test_gaps_change_little() -> None:
    """A tenth of the values and six hours on end are missing."""
    whole = _shop(4 * 168)
    holed = whole.copy()
    holed[np.random.default_rng(1).random(len(whole)) < 0.1] = np.nan
    holed[200:206] = np.nan
    holed[-1] = whole[-1]
    ratio = _forecast(holed, STEP, DAY).expected / _forecast(whole, STEP, DAY).expected
    assert np.abs(ratio - 1).max() < 0.15


def test_a_constant_has_the_bounds_of_chance() -> None:
    """Exactly five requests a second for a week: the next are five, give or take what arrivals vary by chance."""
    found = _forecast(np.full(2016, 5.0), 300.0, HOUR)
    np.testing.assert_allclose(found.expected, 5.0, rtol=1e-6)
    chance = 1.6449 * np.sqrt(5.0 * 300.0) / 300.0
    np.testing.assert_allclose(found.upper - 5.0, chance, rtol=1e-6)
    np.testing.assert_allclose(5.0 - found.lower, chance, rtol=1e-6)


def test_bounds_of_a_short_past_are_wider() -> None:
    """Four hours of the same noise say less than four weeks."""
    rng = np.random.default_rng(3)
    noise = 100 * np.exp(0.1 * rng.standard_normal(8064))
    short, long = _forecast(noise[-48:], 300.0, HOUR), _forecast(noise, 300.0, HOUR)
    assert (short.upper - short.lower).mean() > 1.2 * (long.upper - long.lower).mean()


@pytest.mark.parametrize(
    ("step", "horizon", "words"),
    [(0.0, HOUR, "both must be longer than 0"), (60.0, -1.0, "both must be longer"), (1.0, DAY, "4096 are the most")],
)
def test_a_horizon_that_is_none(step: float, horizon: float, words: str) -> None:
    """The caller's mistake, not the data's."""
    with pytest.raises(ValueError, match=words):
        forecast(np.ones(100), step, 0.0, horizon)


def test_a_horizon_is_rounded_up() -> None:
    """Ten and a half minutes are eleven steps."""
    assert _forecast(_shop(500), 60.0, 630.0).expected.shape == (11,)


def test_a_minutes_forecast_of_a_young_service() -> None:
    """An hour of minutes, no season: the level of now, with bounds."""
    rng = np.random.default_rng(1)
    found = _forecast(rng.poisson(60 * 20, 60) / 60.0, 60.0, 600.0)
    assert found.expected.shape == (10,)
    assert np.abs(found.expected - 20).max() < 3
    assert (found.lower < 20).all()
    assert (found.upper > 20).all()


def test_series_do_not_affect_each_other() -> None:
    """A batch with young, holed and refused series among it: each as alone."""
    young = np.concatenate([np.full(300, np.nan), _shop(372, 5)])
    holed = _shop(672, 3)
    holed[50] = np.nan
    batch = np.stack([_shop(672, 1), young, np.full(672, np.nan), holed, _shop(672, 2)])
    for row, found in zip(batch, forecast_all(batch, STEP, 7.0, DAY), strict=True):
        alone = forecast(row, STEP, 7.0, DAY)
        assert type(alone) is type(found)
        if isinstance(found, Forecast) and isinstance(alone, Forecast):
            np.testing.assert_allclose(found.expected, alone.expected, rtol=1e-6)
            np.testing.assert_allclose(found.upper, alone.upper, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    history=arrays(
        np.float64,
        st.integers(0, 120),
        elements=st.one_of(
            st.floats(0, 1e6), st.sampled_from([0.0, np.nan, -1.0, np.inf, 1e-9, 1e300]), st.floats(-5, 5)
        ),
    ),
    step=st.sampled_from([15.0, 300.0, 3600.0]),
    horizon=st.sampled_from([60.0, HOUR, DAY]),
)
def test_whatever_comes_is_a_forecast_or_a_sentence(history: np.ndarray, step: float, horizon: float) -> None:
    """No exception, no NaN, nothing negative, bounds in order."""
    if horizon / step > 4096:
        return
    found = forecast(history, step, 0.0, horizon)
    if isinstance(found, Refusal):
        assert found.reason.startswith("no forecast: ")
        assert "\n" not in found.reason
        return
    assert np.isfinite(np.stack([found.expected, found.lower, found.upper])).all()
    assert (found.lower >= 0).all()
    assert (found.lower <= found.expected).all()
    assert (found.expected <= found.upper).all()


@settings(deadline=None, max_examples=20)
@given(factor=st.floats(0.5, 1e4), seed=st.integers(0, 5))
def test_units_do_not_matter(factor: float, seed: int) -> None:
    """So many times the traffic is so many times the forecast, while chance is small."""
    series = 1e6 * _shop(200, seed)
    one, many = _forecast(series, STEP, DAY), _forecast(factor * series, STEP, DAY)
    for name in ("expected", "lower", "upper"):
        np.testing.assert_allclose(getattr(many, name), factor * getattr(one, name), rtol=1e-4)


@pytest.mark.parametrize("made", [forecast_all, None])
def test_the_moment_only_names_the_start(made: Callable[..., list[object]] | None) -> None:
    """Another moment is the same forecast, at another moment."""
    find = made or (lambda values, step, at, horizon: forecast_peaks(values, (step, 1), at, horizon))
    early, late = (find(_shop(300)[None, :], STEP, at, DAY)[0] for at in (0.0, 1e9))
    first, second = (one.path if isinstance(one, Outlook) else one for one in (early, late))
    assert isinstance(first, Forecast)
    assert isinstance(second, Forecast)
    assert (first.start, second.start) == (0.0, 1e9)
    np.testing.assert_array_equal(first.expected, second.expected)
