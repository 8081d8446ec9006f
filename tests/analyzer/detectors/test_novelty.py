"""The streaming detector: what is new is reported once, what was seen is not, and the future plays no part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors import novelty
from perfloop_analyzer.detectors.novelty import ALARM_FROM, Clock, NoveltyDetector, alarm_threshold, novelty_scores

if TYPE_CHECKING:
    import pytest

CLOCK = Clock(hour=12, day=100, probation=200)


def _noise(points: int = 800, rows: int = 1, seed: int = 1) -> np.ndarray:
    return 50.0 + np.random.default_rng(seed).standard_normal((rows, points))


def test_a_spike_never_seen_before_scores_high() -> None:
    """The first of its kind stands far above what noise gives."""
    values = _noise()
    values[0, 500] += 30.0
    scores = novelty_scores(values, CLOCK)[0]
    assert scores[500] > 10
    assert int(np.argmax(scores[:512])) in range(500, 512)


def test_what_comes_every_night_is_not_new() -> None:
    """A spike like many before it scores far less than the first of its kind."""
    values = _noise(1200)
    values[0, 250::100] += 30.0
    scores = novelty_scores(values, CLOCK)[0]
    assert scores[1150] < scores[250] / 2


def test_no_look_ahead() -> None:
    """Scores up to a moment do not change with what comes after."""
    values = _noise(600)
    other = values.copy()
    other[0, 400:] = 0.0
    assert np.array_equal(novelty_scores(values, CLOCK)[0, :400], novelty_scores(other, CLOCK)[0, :400])


def test_silent_during_probation_and_without_data() -> None:
    """Nothing is new to one who has seen nothing."""
    assert not novelty_scores(_noise(150), CLOCK).any()
    assert not novelty_scores(np.full((2, 400), np.nan), CLOCK).any()


def test_gaps_are_survived() -> None:
    """Missing values neither score nor poison what comes after."""
    values = _noise(600)
    values[0, 300:330] = np.nan
    scores = novelty_scores(values, CLOCK)[0]
    assert np.isfinite(scores).all()
    assert not scores[300:330].any()


def test_series_are_independent() -> None:
    """A series scores the same alone and in company."""
    values = _noise(500, rows=3, seed=4)
    assert np.allclose(novelty_scores(values, CLOCK)[1], novelty_scores(values[1:2], CLOCK)[0])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its memory is full the older half is forgotten."""
    monkeypatch.setattr(novelty, "MEMORY", 1024)
    detector = NoveltyDetector(1, Clock(2, 10, 10))
    for value in np.random.default_rng(2).random(1500):
        detector.update(np.array([value]))
    assert detector._length <= 1024


def _days(days: int, seed: int = 3) -> np.ndarray:
    """Return days of 100 points, low at night and high in their middle."""
    clock = np.arange(100 * days) % 100
    return np.where((clock >= 40) & (clock < 70), 80.0, 20.0) + np.random.default_rng(seed).uniform(-2, 2, 100 * days)


def test_a_usual_value_at_an_unusual_time_is_new() -> None:
    """A day without its high middle, and a high night, are found: each value alone is like thousands before."""
    for begin, value in ((840, 20.0), (805, 80.0)):
        values = _days(10)
        values[begin : begin + 25] = value
        scores = novelty_scores(values[None, :], CLOCK)[0]
        assert scores[:begin].max() < ALARM_FROM
        assert scores[begin : begin + 25].max() > ALARM_FROM


def test_a_day_like_the_others_is_not_new() -> None:
    """Once a night and a day were seen, the steps of a daily square are never an alarm."""
    assert novelty_scores(_days(20)[None, :], CLOCK).max() < ALARM_FROM


def test_the_time_of_day_outlives_a_gap() -> None:
    """Missing values move the clock on: after them a usual day is still usual."""
    values = _days(12)
    values[430:577] = np.nan
    assert novelty_scores(values[None, :], CLOCK)[0, 577:].max() < ALARM_FROM


def test_one_event_is_one_alarm() -> None:
    """A new level is reported when it begins, and does not go on being reported."""
    values = _noise(1600, seed=8)
    values[0, 700:] += 25.0
    scores = novelty_scores(values, CLOCK)[0]
    raised = np.flatnonzero(scores >= ALARM_FROM)
    assert 700 <= raised[0] <= 702
    assert len(raised) <= 3  # its beginning, and at most two much higher scores while it builds up
    assert raised[-1] < 740


def test_noise_is_no_alarm() -> None:
    """Gaussian series of two weeks: fewer than one alarm in a hundred series-days."""
    scores = novelty_scores(_noise(1400, rows=60, seed=11), CLOCK)
    assert (scores >= ALARM_FROM).sum() / (60 * 12) < 0.01


def test_what_is_too_small_to_matter_is_no_alarm() -> None:
    """A series that never moved and then moves by a ten-thousandth is not new; one that doubles is."""
    values = np.full((2, 600), 45.0)
    values[0, 400:] += 0.0045
    values[1, 400:] *= 2.0
    scores = novelty_scores(values, CLOCK)
    assert scores[0].max() < ALARM_FROM
    assert scores[1, 400] > ALARM_FROM


def test_a_series_that_begins_later_waits_for_its_own_probation() -> None:
    """Others' past is not its own: its first values are judged after its own probation, and noise is no alarm."""
    values = _noise(1000, rows=2, seed=5)
    values[1, :600] = np.nan
    scores = novelty_scores(values, CLOCK)
    assert not scores[1, :800].any()
    assert scores[1].max() < ALARM_FROM


def test_the_threshold_rises_with_the_number_of_series() -> None:
    """Ten times the series raise it by the same amount each time; one series has the threshold of one."""
    assert alarm_threshold(1) == ALARM_FROM
    assert alarm_threshold(0) == ALARM_FROM
    assert alarm_threshold(1000) - alarm_threshold(100) == alarm_threshold(10) - alarm_threshold(1) > 0
