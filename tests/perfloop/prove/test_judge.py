"""What blocks say of a signal: the gain with its interval, the verdict, and what else moved."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop.prove.judge import CHANCE, LEAST_GAIN, LEAST_PAIRS, Effect, compare, judge, significant

POSITIVE = st.floats(1e-3, 1e3)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=LEAST_PAIRS, max_size=12))
def test_the_gain_of_positive_values_is_that_of_their_geometric_means(pairs: list[tuple[float, float]]) -> None:
    """By the naive formula; the interval holds it, and no unit changes it."""
    without, with_change = (list(side) for side in zip(*pairs, strict=True))
    found = compare(without, with_change, above=True, ratio=False)
    ratio = math.prod(after / before for before, after in pairs) ** (1 / len(pairs))
    assert found is not None
    assert found.gain == pytest.approx(1 - ratio, rel=1e-6, abs=1e-9)
    assert found.low - 1e-9 <= found.gain <= found.high + 1e-9
    again = compare([1000 * one for one in without], [1000 * one for one in with_change], above=True, ratio=False)
    assert again is not None
    assert again.low == pytest.approx(found.low, rel=1e-6, abs=1e-9)


def test_the_interval_is_students() -> None:
    """Of five pairs: mean and standard error by hand, t of four degrees of freedom at 1% on each side is 3.747."""
    moves = np.array([-0.7, -0.72, -0.68, -0.71, -0.69])
    found = compare(list(np.ones(5)), list(np.exp(moves)), above=True, ratio=False)
    error = moves.std(ddof=1) / math.sqrt(5)
    assert found is not None
    assert CHANCE == 0.01
    assert found.low == pytest.approx(1 - math.exp(-0.7 + 3.747 * error), abs=1e-4)
    assert found.high == pytest.approx(1 - math.exp(-0.7 - 3.747 * error), abs=1e-4)


def test_of_a_ratio_that_should_be_high_the_gap_to_one_goes_away() -> None:
    """Hits from 50% to 90%: four fifths of the misses are gone. Throughput that doubles is a gain of 100%."""
    hits = compare([0.5, 0.5, 0.5], [0.9, 0.9, 0.9], above=False, ratio=True)
    assert hits is not None
    assert hits.gain == pytest.approx(0.8)
    more = compare([10.0, 10.0, 10.0], [20.0, 20.0, 20.0], above=False, ratio=False)
    assert more is not None
    assert more.gain == pytest.approx(1.0)


def test_values_that_are_missing_or_nothing_say_nothing() -> None:
    """Fewer than three pairs, or a signal that was 0; where only some are 0, the differences count."""
    assert compare([1.0, 1.0, math.nan], [1.0, 1.0, 1.0], above=True, ratio=False) is None
    assert compare([0.0] * 5, [0.0] * 5, above=True, ratio=False) is None
    some = compare([0.0, 2.0, 4.0], [0.0, 0.0, 0.0], above=True, ratio=False)
    assert some is not None
    assert some.gain == pytest.approx(1.0)


def _effect(gain: float, low: float, high: float, p_value: float = 0.001) -> Effect:
    return Effect(gain, low, high, 1.0, 1.0 - gain, p_value, 5)


@pytest.mark.parametrize(
    ("effect", "promised", "verdict"),
    [
        (_effect(0.4, 0.3, 0.5), 0.35, "proved"),
        (_effect(0.04, 0.03, 0.045), 0.0, "refuted"),
        (_effect(0.01, -0.02, 0.04), 0.3, "refuted"),
        (_effect(-0.5, -0.6, -0.4), 0.0, "refuted"),
        (_effect(0.1, -0.1, 0.2), 0.3, "refuted"),
        (_effect(0.1, -0.1, 0.3), 0.0, "undecided"),
        (None, 0.3, "undecided"),
    ],
)
def test_verdicts(effect: Effect | None, promised: float, verdict: str) -> None:
    """A gain that is worth it and not chance; none, or less than was promised; else undecided."""
    assert judge(effect, promised).verdict == verdict


def test_changes_that_do_nothing_are_hardly_ever_proved() -> None:
    """Of two thousand simulated proofs without any effect, whose blocks vary by 10% and drift, at most 1%."""
    draw = np.random.default_rng(5)
    proved = 0
    for _ in range(2000):
        drift = np.cumsum(draw.normal(0, 0.05, 10)).reshape(5, 2)
        levels = np.exp(drift + draw.normal(0, 0.1, (5, 2)))
        first = draw.integers(0, 2, 5)
        without, with_change = levels[range(5), first], levels[range(5), 1 - first]
        proved += judge(compare(list(without), list(with_change), above=True, ratio=False), 0.0).verdict == "proved"
    assert proved <= 20


def test_a_fault_of_half_the_time_is_proved() -> None:
    """Of two hundred simulated proofs whose blocks vary by 10%: in nearly all."""
    draw = np.random.default_rng(6)
    proved = 0
    for _ in range(200):
        without, with_change = np.exp(draw.normal(0, 0.1, (2, 5))) * np.array([[1.0], [0.5]])
        proved += judge(compare(list(without), list(with_change), above=True, ratio=False), 0.4).verdict == "proved"
    assert proved >= 195


def test_side_effects_are_corrected_for_their_number() -> None:
    """One in twenty at 4% is chance; one that is sure is marked, and one that is sure but tiny is not."""
    chance = [_effect(0.2, 0.1, 0.3, 0.04), *(_effect(0.1, -0.1, 0.3, 0.5) for _ in range(19))]
    assert not any(significant(chance))
    sure = [*chance, _effect(-0.3, -0.4, -0.2, 1e-6), _effect(LEAST_GAIN / 2, 0.01, 0.04, 1e-7)]
    assert [at for at, is_one in enumerate(significant(sure)) if is_one] == [20]
    assert significant([]) == []


def test_an_interval_that_says_nothing_is_no_figure() -> None:
    """Where the pairs differ by more than the whole effect, no share is written."""
    words = judge(_effect(-1.86, -3066.0, 0.99), 0.4).words
    assert words == (
        "5 pairs differ by more than all that the change could bring: more pairs, or longer ones, would decide"
    )
