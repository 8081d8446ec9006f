"""A trend begins once and ends once, however often the history is read."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.catalog import Limit, Signal
from perfloop_analyzer.findings import Reading
from perfloop_analyzer.incidents import Episode, Memory, series_hash
from perfloop_analyzer.pipeline import learn
from perfloop_analyzer.pipeline.lives import MISSES, Lives
from perfloop_analyzer.pipeline.trends import soonest_limits, steepest_rises
from perfloop_analyzer.series import Batch, Grid

STEP = 600.0
WEEK = 1008
LOOKS = 72  # half a day
SIGNAL = Signal(name="memory", expr="m", component="memory", kind="use", detect=("trend",), limit=Limit())


def _begins(values: np.ndarray, looks: int = LOOKS) -> int:
    """Return how often a series' trend begins while the history is read again and again."""
    lives, begins, stood = None, 0, False
    for look in range(looks):
        batch = Batch("memory", Grid(look * STEP, STEP, WEEK), ({"service": "shop"},), values[None, look : look + WEEK])
        history = learn({"memory": batch}, {"memory": SIGNAL}, "1m", 1e-3, Lives(lives))
        lives, stands = history.lives, bool(history.findings)
        begins += stands and not stood
        stood = stands
    return begins


@pytest.mark.parametrize("seed", range(8))
def test_a_week_of_growth_with_a_season_and_noise_is_one_episode(seed: int) -> None:
    """Half a day of readings of a growth that the noise and the season nearly hide."""
    rng = np.random.default_rng(seed)
    clock = np.arange(WEEK + LOOKS)
    noise = np.zeros(len(clock))
    for at in range(1, len(clock)):
        noise[at] = 0.9 * noise[at - 1] + rng.standard_normal()
    season = 12.0 * np.sin(2 * np.pi * (clock / 144 + rng.random()))
    assert _begins(100.0 + 30.0 * clock / WEEK + season + 3.0 * noise) == 1


def test_a_growth_that_begins_within_the_week_begins_once() -> None:
    """It crosses the level of the test slowly, back and forth; it is found, and stays found."""
    rng = np.random.default_rng(1)
    clock = np.arange(WEEK + 100)
    values = 100.0 + 120.0 * np.maximum(0, clock - 400) / WEEK + 2.0 * rng.standard_normal(len(clock))
    assert _begins(values, 100) == 1


def test_noise_has_no_trend() -> None:
    """Nothing begins where nothing grows."""
    assert not any(_begins(100 + np.random.default_rng(seed).standard_normal(WEEK + 20), 20) for seed in range(5))


def test_a_life_ends_after_misses_in_a_row() -> None:
    """One reading that sees it again begins the count again."""
    lives = Lives({})
    assert lives.goes_on("series", "unusual", seen=True)
    for seen in [False] * (MISSES - 1) + [True] + [False] * (MISSES - 1):
        lives = Lives(lives.after())
        assert lives.goes_on("series", "unusual", seen=seen)
    lives = Lives(lives.after())
    assert not lives.goes_on("series", "unusual", seen=False)
    assert not Lives(lives.after()).stood("series", "unusual")


def test_what_no_reading_answered_for_is_missed() -> None:
    """A series that is gone does not stand for ever, and one failed query ends nothing."""
    stands = {"series/unusual": 0}
    for _ in range(MISSES - 1):
        stands = Lives(stands).after()
    assert stands
    assert not Lives(stands).after()


def test_after_a_restart_the_memory_says_what_stood() -> None:
    """A program that has read no history yet takes the life up where the last one left it."""
    key = series_hash("shop", "memory", "")
    memory = Memory(1000.0, {f"{key}/unusual": Episode(500.0, seen=1000.0)})
    assert Lives(None, memory).stood(key, "unusual")
    assert not Lives(None, memory).stood(key, "limit")
    assert not Lives({}, memory).stood(key, "unusual")


def test_one_series_has_one_forecast() -> None:
    """Of the window's and the history's the sooner counts, with its own bounds only."""
    names = ("expected", "lower", "upper")
    days = [Reading(f"seconds_until_limit:{one}", "disk", "shop", 9e5) for one in names]
    soon = [Reading(f"seconds_until_limit:{one}", "disk", "shop", 600.0) for one in names[:2]]
    other = Reading("trend_slope", "disk", "shop", 1.0)
    assert soonest_limits([*days, other, *soon]) == [other, *soon]
    assert soonest_limits([*soon, *days]) == soon


def test_the_steepest_rise_of_the_history_leaves_out_its_newest_hour() -> None:
    """What rises now is no precedent of itself."""
    values = np.zeros((2, 100))
    values[0, 50:52] = [6.0, 12.0]
    values[1, 97:] = 50.0
    assert steepest_rises(values, STEP).tolist() == [12.0 / 1200.0, 0.0]
