"""The four answers of a comparison, and the rule that gives them.

A number is **worse** or **better** if two things hold: so large a difference is improbable without a change (Welch's
test on the values of the runs, corrected for the number of comparisons), and it is larger than the smallest effect
that matters by at least its standard error. It is the **same** if the whole 90 % interval is smaller than that effect
(two one-sided tests at 5 %, Schuirmann 1987). Else the comparison **cannot tell**: a difference that is not significant
is no evidence that there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.compare.difference import Difference

# Of an error in calling something changed, over all comparisons of a report together.
SIGNIFICANCE = 0.01
CONFIDENCE = 0.9
# Where the noise is as large as the effect that is looked for, what passes a test is mostly exaggerated (Gelman and
# Carlin 2014), and runs of one hour resemble each other more than those of the next: the test is so many times as
# strict. Calibrated on recorded and generated noise, in benchmarks/compare_calibration.py.
_STRICTNESS = 5
# Of all ways to divide the runs into two groups, those that are most extreme: either group may have the larger values.
_EXTREMES = 2
# A plan for more runs than this is none.
MOST_RUNS = 200


class Answer(StrEnum):
    """What a comparison says about one number, or about all of them."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class Question:
    """One number to judge.

    `margin` is the smallest difference to report, `same_within` the largest that is none, both in the difference's own
    unit. `is_certified` says that the noise is known of the machine, not of these runs alone.
    """

    difference: Difference
    margin: float
    same_within: float
    up_is_worse: bool
    is_certified: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An answer, the p-value corrected for the number of questions, and how many runs a side would give an answer.

    `runs_needed` is None where the answer is there, or where no sensible number of runs would give one.
    """

    answer: Answer
    p_value: float
    runs_needed: int | None = None


def judge(questions: Sequence[Question]) -> list[Evaluation]:
    """Answer questions that are asked together.

    The p-values are corrected by Holm's method (1979), which holds however the questions depend on each other, as
    percentiles of the same requests do.
    """
    order = sorted(range(len(questions)), key=lambda at: questions[at].difference.p_value)
    judged: dict[int, Evaluation] = {}
    corrected = 0.0
    for rank, at in enumerate(order):
        factor = len(questions) - rank
        corrected = max(corrected, min(1.0, factor * questions[at].difference.p_value))
        answer = answer_to(questions[at], corrected)
        needed = _runs_needed(questions[at], factor) if answer is Answer.UNKNOWN else None
        judged[at] = Evaluation(answer, corrected, needed)
    return [judged[at] for at in range(len(questions))]


def overall(answers: Sequence[Answer]) -> Answer:
    """Return one answer for all: the worst that is known, and `same` only if every number is known to be."""
    for answer in (Answer.WORSE, Answer.UNKNOWN, Answer.BETTER):
        if answer in answers:
            return answer
    return Answer.SAME if answers else Answer.UNKNOWN


def can_be_compared_by_blocks(blocks: int) -> bool:
    """Return whether so many blocks can prove a change without any assumption about how noise is distributed.

    If nothing changed, each block's difference has either sign with the same probability: that all of eight have one
    sign has a probability of 2 in 256.
    """
    return 1 << blocks >= _EXTREMES / SIGNIFICANCE


def can_be_significant(base_runs: int, new_runs: int) -> bool:
    """Return whether so few runs can prove a change without any assumption about how a machine's noise is distributed.

    If nothing changed, every way to divide the runs into two groups is equally probable, and the two most extreme ones
    have a probability of 2 / (number of ways): with five a side 0.8 %, with three 10 %. A machine that is at times in
    one state and at times in another gives such groups, and nothing in their small variance shows it.
    """
    return math.comb(base_runs + new_runs, base_runs) >= _EXTREMES / SIGNIFICANCE


def answer_to(question: Question, p_value: float) -> Answer:
    """Answer one question, given its p-value as it is corrected for the others."""
    difference = question.difference
    low, high = difference.interval(CONFIDENCE)
    if _is_changed(question, p_value, high - difference.estimate):
        return Answer.WORSE if (difference.estimate > 0) is question.up_is_worse else Answer.BETTER
    return Answer.SAME if -question.same_within < low and high < question.same_within else Answer.UNKNOWN


def _is_changed(question: Question, p_value: float, reach: float) -> bool:
    difference = question.difference
    if not (question.is_certified or can_be_significant(difference.base.runs, difference.new.runs)):
        return False
    strictness = _STRICTNESS if reach > question.same_within else 1
    is_large = abs(difference.estimate) - difference.standard_error >= question.margin
    return is_large and strictness * p_value <= SIGNIFICANCE


def _runs_needed(question: Question, factor: int) -> int | None:
    """Return the fewest runs a side that would answer, if further runs turn out like these."""
    difference = question.difference
    if math.isinf(difference.standard_error):
        return _fewest_runs()
    low, high = max(difference.base.runs, difference.new.runs), MOST_RUNS
    if not _would_answer(question, high, factor):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _would_answer(question, middle, factor) else (middle, high)
    return high


def _would_answer(question: Question, runs: int, factor: int) -> bool:
    expected = replace(question, difference=question.difference.with_runs(runs))
    return answer_to(expected, min(1.0, factor * expected.difference.p_value)) is not Answer.UNKNOWN


def _fewest_runs() -> int:
    return next(runs for runs in range(2, MOST_RUNS) if can_be_significant(runs, runs))
