"""What becomes of an implemented recommendation, for each thing that may have happened at its change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfloop_analyzer.recommend.conclusion import Observed, Question, conclude, conclude_without_data
from perfloop_analyzer.recommend.validation import Course

QUESTION = Question("Latency", above=True, window=60.0, unseen=10.0, passed=720.0)
QUIET = 0.02


def _course(before: float, after: float, *, normal: float = 1.0, acts: int = 0, seed: int = 1) -> Course:
    """Return a metric whose level goes from `before` to `after` that many points after the change."""
    rng = np.random.default_rng(seed)
    held = np.where(np.arange(30) < 30 + acts, before, after)
    then = np.where(np.arange(25) < acts, before, after)
    spans = (held, then, np.full(60, normal))
    held, then, usual = (level * (1 + QUIET * rng.standard_normal(len(level))) for level in spans)
    return Course(held, then, usual)


def _concluded(metric: Course, load: float = 1.0, **others: Course) -> tuple[str, str]:
    found = conclude(QUESTION, Observed(metric, _course(100.0, 100.0 * load, normal=100.0, seed=2), others))
    assert found is not None
    return found.step, found.words


def test_a_fall_with_the_change_is_its_gain() -> None:
    """Also when it was marked a window late; the interval and the number of windows are said."""
    step, words = _concluded(_course(2.0, 1.0))
    assert (step, words.endswith("after 10 windows")) == ("validate", True)
    assert _concluded(_course(2.0, 1.0, acts=-1))[0] == "validate"


def test_no_fall_is_none() -> None:
    """What stays as it was, or rises, is refuted."""
    assert _concluded(_course(2.0, 2.0))[0] == "refute"
    assert _concluded(_course(2.0, 3.0))[0] == "refute"


@pytest.mark.parametrize("gone", [4, 10, 25])
def test_what_was_over_before_the_change_healed(gone: int) -> None:
    """Whatever the findings say: the metric itself fell earlier."""
    step, words = _concluded(_course(2.0, 1.0, acts=-gone))
    assert (step, "before it was marked" in words) == ("heal", True)


def test_what_fell_later_did_not_fall_with_the_change() -> None:
    """Five windows later something else may have ended it."""
    assert _concluded(_course(2.0, 0.2, acts=5)) == (
        "confound",
        "it fell 6 min after the change, not with it: something else may have ended it",
    )


@pytest.mark.parametrize(
    ("after", "load", "step"),
    [
        (1.0, 0.5, "confound"),
        (1.2, 1.6, "validate"),
        (1.2, 3.0, "confound"),
        (2.0, 2.0, "confound"),
        (2.0, 0.5, "refute"),
    ],
)
def test_load_that_moved_explains_or_hides(after: float, load: float, step: str) -> None:
    """Less load brings answers sooner; more of it is explained by faster answers up to what the same callers ask."""
    assert _concluded(_course(2.0, after), load)[0] == step


def test_what_improved_everywhere_was_not_the_change() -> None:
    """Another service that was fine improved alike; one that suffered with this one recovers with it."""
    better, victim = _course(1.0, 0.5, seed=3), _course(2.0, 1.0, seed=4)
    step, words = _concluded(_course(2.0, 1.0), mail=better)
    assert (step, "Latency of mail improved as well" in words) == ("confound", True)
    assert _concluded(_course(2.0, 1.0), shop=victim)[0] == "validate"
    assert _concluded(_course(2.0, 1.0), mail=better, a=_course(1, 1, seed=5), b=_course(1, 1, seed=6))[0] == "validate"


def test_noise_is_waited_out_and_then_said() -> None:
    """Ten windows of a metric that varies by half of itself are not enough, nor are forty; and it is said."""
    rng = np.random.default_rng(4)
    wild = Course(np.exp(0.5 * rng.standard_normal(30)), np.exp(0.5 * rng.standard_normal(40)))
    early = Observed(replace(wild, after=wild.after[:10]), None, {})
    assert conclude(QUESTION, early) is None
    found = conclude(QUESTION, Observed(wild, None, {}))
    assert found is not None
    assert (found.step, "varies too much by itself" in found.words) == ("give_up", True)
    promised = conclude(replace(QUESTION, promised=0.8), Observed(wild, None, {}))
    assert promised is not None
    assert promised.step == "refute"


def test_what_cannot_be_compared_says_why() -> None:
    """Trouble of seconds, and trouble that nobody had seen for long, conclude at once; no data does after a day."""
    assert [found and found.step for found in (conclude_without_data(QUESTION, points) for points in (2, 3))] == [
        "give_up",
        None,
    ]
    forgotten = conclude_without_data(replace(QUESTION, unseen=3600.0), 30)
    assert forgotten is not None
    assert forgotten.step == "heal"
    silent = Observed(Course(np.full(30, 1.0), np.full(12, np.nan)), None, {})
    assert conclude(QUESTION, silent) is None
    late = conclude(replace(QUESTION, passed=90_000.0), silent)
    assert late is not None
    assert late.step == "give_up"
