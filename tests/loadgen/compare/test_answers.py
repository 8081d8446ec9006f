"""The four answers, on runs whose truth is known."""

from __future__ import annotations

import random
from math import log1p
from typing import TYPE_CHECKING

import pytest
from scipy import stats

from perfloop_loadgen.compare.answers import (
    Answer,
    Question,
    can_be_compared_by_blocks,
    can_be_significant,
    judge,
    overall,
)
from perfloop_loadgen.compare.difference import Difference, Side

if TYPE_CHECKING:
    from collections.abc import Sequence

FIVE_PERCENT = log1p(0.05)


def question(base: Sequence[float], new: Sequence[float], *, up_is_worse: bool = True) -> Question:
    """A question about the logarithms of ratios, with the smallest effect at 5 %."""
    return Question(Difference(Side.of(base), Side.of(new)), FIVE_PERCENT, FIVE_PERCENT, up_is_worse)


def runs(level: float, spread: float, count: int, seed: int) -> list[float]:
    """Runs around a level."""
    chance = random.Random(seed)
    return [level + chance.gauss(0, spread) for _ in range(count)]


@pytest.mark.parametrize(
    ("shift", "spread", "count", "answer"),
    [
        (0.10, 0.01, 5, Answer.WORSE),
        (-0.10, 0.01, 5, Answer.BETTER),
        (0.0, 0.01, 5, Answer.SAME),
        (0.02, 0.002, 5, Answer.SAME),  # a change that is real, and smaller than what matters
        (0.0, 0.2, 5, Answer.UNKNOWN),
        (0.07, 0.05, 5, Answer.UNKNOWN),
        (3.0, 0.01, 3, Answer.UNKNOWN),  # three runs a side prove nothing
        (0.0, 0.01, 1, Answer.UNKNOWN),
    ],
)
def test_each_answer_has_its_evidence(shift: float, spread: float, count: int, answer: Answer):
    """A test and an effect for a change, an interval for no change, and else neither."""
    [judged] = judge([question(runs(0, spread, count, 1), runs(shift, spread, count, 2))])
    assert judged.answer is answer


def test_up_is_better_for_rates():
    """Of a rate, more is better."""
    base, new = runs(0, 0.01, 5, 1), runs(0.1, 0.01, 5, 2)
    assert [one.answer for one in judge([question(base, new, up_is_worse=False)])] == [Answer.BETTER]


def test_more_runs_are_named_and_would_do():
    """Where it cannot tell, it says how many runs a side would, and with so many that turn out alike it can."""
    [judged] = judge([question(runs(0, 0.06, 5, 1), runs(0.13, 0.06, 5, 2))])
    assert judged.answer is Answer.UNKNOWN
    assert judged.runs_needed is not None
    base, new = (runs(level, 0.06, 5 * judged.runs_needed, seed) for level, seed in ((0, 3), (0.13, 4)))
    assert judge([question(base, new)])[0].answer is Answer.WORSE


def test_one_run_a_side_needs_as_many_as_can_be_significant():
    """Without any variation between runs nothing can be planned but the fewest."""
    [judged] = judge([question([0.0], [1.0])])
    assert judged.runs_needed == 5


def test_p_values_are_corrected_by_holms_method():
    """The same as a plain computation: each multiplied by how many are not smaller, and never falling."""
    questions = [question(runs(0, 0.05, 6, seed), runs(0.02 * seed, 0.05, 6, seed + 100)) for seed in range(6)]
    raw = sorted(one.difference.p_value for one in questions)
    expected = [min(1, max(p * (6 - rank) for rank, p in enumerate(raw[: at + 1]))) for at in range(6)]
    assert sorted(one.p_value for one in judge(questions)) == pytest.approx(expected)


def test_many_questions_need_stronger_evidence():
    """What one question alone finds is not found among a hundred that have no difference."""
    close = question(runs(0, 0.03, 5, 1), runs(0.08, 0.03, 5, 2))
    assert judge([close])[0].answer is Answer.WORSE
    others = [question(runs(0, 0.03, 5, seed), runs(0, 0.03, 5, seed + 1000)) for seed in range(100)]
    assert judge([close, *others])[0].answer is Answer.UNKNOWN


@pytest.mark.parametrize(("base", "new"), [(2, 2), (3, 3), (4, 4), (3, 9), (4, 6), (5, 5), (2, 10)])
def test_few_runs_are_those_whose_permutations_are_few(base: int, new: int):
    """Groups that fall apart completely: the exact test's p-value is at most 1 %, or it is not."""
    groups = (list(range(base)), [100 + value for value in range(new)])
    exact = stats.permutation_test(groups, lambda a, b: sum(b) / len(b) - sum(a) / len(a), n_resamples=10**6).pvalue
    assert can_be_significant(base, new) is bool(exact <= 0.01)
    assert can_be_significant(new, base) is can_be_significant(base, new)


def test_blocks_can_prove_from_eight_on():
    """All differences of one sign: the exact sign test's p-value is at most 1 %, or it is not."""
    for blocks in range(1, 12):
        exact = stats.binomtest(blocks, blocks).pvalue
        assert can_be_compared_by_blocks(blocks) is bool(exact <= 0.01)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["same", "better"], "better"),
        (["same", "cannot tell", "better"], "cannot tell"),
        (["worse", "better", "cannot tell"], "worse"),
        (["same", "same"], "same"),
        ([], "cannot tell"),
    ],
)
def test_one_answer_for_all(answers: list[str], expected: str):
    """Worse before unknown, unknown before better, and nothing compared is nothing known."""
    assert overall([Answer(one) for one in answers]) is Answer(expected)
