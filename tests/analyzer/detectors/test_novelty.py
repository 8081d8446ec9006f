"""The streaming detector: what is new is reported once, what was seen is not, and the future plays no part."""

from __future__ import annotations

import numpy as np

from perfloop_analyzer.detectors.novelty import Clock, NoveltyDetector, novelty_scores

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


def test_memory_is_bounded() -> None:
    """After its memory is full the older half is forgotten."""
    detector = NoveltyDetector(1, Clock(2, 10, 10))
    for value in np.random.default_rng(2).random(9000):
        detector.update(np.array([value]))
    assert detector._length <= 8064
