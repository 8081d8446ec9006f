"""The measured effect of a change, with an interval, or no verdict."""

from __future__ import annotations

import numpy as np
import pytest

from perfloop_analyzer.recommend.validation import judge


def test_a_metric_that_halves_is_a_gain_of_one_half() -> None:
    """Ratio and interval contain the truth; chance is excluded."""
    rng = np.random.default_rng(5)
    verdict = judge(1.0 + 0.05 * rng.standard_normal(12), 0.5 + 0.03 * rng.standard_normal(10), above=True)
    assert verdict is not None
    assert verdict.holds
    assert verdict.gain == pytest.approx(0.5, abs=0.05)
    assert verdict.low <= 0.5 <= verdict.high


def test_no_change_and_a_worse_one_do_not_hold() -> None:
    """Equal spans, noise and a rise are no gain."""
    same = np.full(12, 0.3)
    noise = np.random.default_rng(6).standard_normal((2, 15)) * 0.01 + 0.3
    for before, after in ((same, same), (noise[0], noise[1]), (same, same + 0.2)):
        verdict = judge(before, after, above=True)
        assert verdict is not None
        assert not verdict.holds


def test_hits_are_compared_by_what_misses() -> None:
    """A hit ratio that rises from one half to nine tenths removes four fifths of the misses."""
    verdict = judge(np.full(5, 0.5), np.full(10, 0.9), above=False)
    assert verdict is not None
    assert verdict.gain == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([1.0, 1.0], [0.5] * 10),
        ([1.0] * 5, [0.5] * 9),
        ([0.0] * 5, [0.0] * 10),
        ([np.nan] * 9, [1.0] * 12),
        ([], []),
    ],
)
def test_too_little_is_not_judged(before: list[float], after: list[float]) -> None:
    """Too few points, gaps, and a metric that was nothing before have no verdict."""
    assert judge(np.array(before), np.array(after), above=True) is None


@pytest.mark.parametrize("memory", [0.5, 0.8, 0.95])
def test_noise_that_remembers_is_no_gain(memory: float) -> None:
    """Of sixty changes that did nothing at most four hold: 2% are allowed, and chance."""
    rng = np.random.default_rng(int(100 * memory))
    noise = rng.standard_normal((60, 42))
    for at in range(1, 42):
        noise[:, at] = memory * noise[:, at - 1] + np.sqrt(1 - memory**2) * noise[:, at]
    levels = 1.0 + 0.1 * noise
    verdicts = [judge(one[:30], one[31:41], above=True) for one in levels]
    assert sum(verdict is not None and verdict.holds for verdict in verdicts) <= 4
    # A real gain of 30% is still found.
    verdicts = [judge(one[:30], 0.7 * one[31:41], above=True) for one in levels[:30]]
    assert sum(verdict is not None and verdict.holds for verdict in verdicts) >= 25


def test_one_spike_hides_no_gain() -> None:
    """A single value of twenty times the level counts as a large one, not as twenty."""
    rng = np.random.default_rng(9)
    before, after = 1.0 + 0.05 * rng.standard_normal(20), 0.7 + 0.03 * rng.standard_normal(10)
    before[7] = 20.0
    verdict = judge(before, after, above=True)
    assert verdict is not None
    assert verdict.holds
    assert verdict.gain == pytest.approx(0.3, abs=0.06)


def test_what_falls_to_nothing_is_a_whole_gain() -> None:
    """Errors that end are a gain of 100%, whatever the noise before."""
    verdict = judge(np.array([0.1, 0.2, 0.0, 0.15, 0.12, 0.2, 0.11, 0.17, 0.14]), np.zeros(10), above=True)
    assert verdict is not None
    assert verdict.holds
    assert verdict.gain == pytest.approx(1.0, abs=0.01)
