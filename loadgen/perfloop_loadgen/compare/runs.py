"""Two groups of runs, side by side: every number with its change, the interval of that, and an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import fmean, geometric_mean
from typing import TYPE_CHECKING

from perfloop_loadgen.compare.answers import (
    CONFIDENCE,
    Answer,
    Evaluation,
    Question,
    can_be_significant,
    judge,
    overall,
)
from perfloop_loadgen.compare.bootstrap import variance_within
from perfloop_loadgen.compare.difference import Difference, Side
from perfloop_loadgen.compare.measures import ALL, ERRORS, MEASURES, Subject, find_endpoint, subjects, too_few
from perfloop_loadgen.compare.noise import LEAST_RUNS, Certificate, Noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop_loadgen.summary.document import Document

    Runs = Sequence[Document]

MIN_EFFECT = 0.05
# Shares of all requests: an increase by less than the first is none, one within the second is no change.
ERRORS_MARGIN, ERRORS_SAME = 0.001, 0.005


@dataclass(frozen=True, slots=True)
class Gate:
    """What is compared, and how fine: `min_effect` is the smallest change that matters, as a share of the base."""

    min_effect: float = MIN_EFFECT
    measures: tuple[str, ...] = MEASURES
    noise: Certificate | None = None
    # Whether the runs are compared inside of blocks: the first of each side made the first one, and so on.
    is_blocked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One number of both sides.

    Attributes:
        base: The geometric mean over the runs, in `unit` (the mean, of shares of requests); None without values.
        change: New against base, as a share of the base; of shares of requests, the difference.
        low: The lower end of the interval that holds the true change with 90 % confidence; `high` the upper one.
        p_value: Corrected for the number of rows.
        runs_needed: How many runs a side would give an answer, if they turn out like these.
        note: What a reader must know about this row.
    """

    endpoint: str
    measure: str
    unit: str
    base: float | None = None
    new: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    answer: Answer = Answer.UNKNOWN
    runs_needed: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, one answer for them, and how many runs each side has."""

    test: str
    answer: Answer
    rows: list[Row]
    base_runs: list[str]
    new_runs: list[str]
    min_effect: float
    confidence: float = CONFIDENCE
    notes: list[str] = field(default_factory=list)

    @property
    def runs_needed(self) -> int | None:
        """Return how many runs a side would answer every row; None if they do not help, or are not needed."""
        needed = [row.runs_needed for row in self.rows if row.answer is Answer.UNKNOWN]
        found = [runs for runs in needed if runs is not None]
        return max(found) if found and len(found) == len(needed) else None

    def worst(self) -> Row | None:
        """Return the row that the answer rests on: of those with it, the one with the largest change."""
        rows = [row for row in self.rows if row.answer is self.answer and row.change is not None]
        # Response times before shares of errors, whose unit is another.
        return max(rows, key=lambda row: (row.measure != ERRORS, abs(row.change or 0.0)), default=None)


def compare(base: Runs, new: Runs, gate: Gate) -> Comparison:
    """Compare two groups of runs, at least one each, that no obstacle keeps from it."""
    rows: list[Row | tuple[Row, Question]] = [
        _asked(subject, base, new, gate) for subject in subjects([*base, *new], gate.measures)
    ]
    judged = iter(judge([row[1] for row in rows if isinstance(row, tuple)]))
    answered = [_answered(*row, next(judged)) if isinstance(row, tuple) else row for row in rows]
    return Comparison(
        test=new[0].summary.name,
        answer=overall([row.answer for row in answered]),
        rows=answered,
        base_runs=[run.run_id for run in base],
        new_runs=[run.run_id for run in new],
        min_effect=gate.min_effect,
        notes=_notes(base, new, gate),
    )


def _asked(subject: Subject, base: Runs, new: Runs, gate: Gate) -> Row | tuple[Row, Question]:
    """Return the row, with the question to judge where every run has a value."""
    sides = [[subject.value(run) for run in runs] for runs in (base, new)]
    missing = sum(value is None for values in sides for value in values)
    row = Row(subject.endpoint, subject.measure, subject.unit)
    if missing:
        return replace(row, note=f"{missing} of {len(base) + len(new)} runs have too few values")
    before, after = ([value for value in values if value is not None] for values in sides)
    if subject.measure == ERRORS:
        return replace(row, base=fmean(before), new=fmean(after)), _errors_question(subject, base, new, gate)
    row = replace(row, base=geometric_mean(before), new=geometric_mean(after))
    noise = gate.noise.of(subject) if gate.noise is not None and gate.noise.runs >= LEAST_RUNS else None
    question = _question(subject, (base, new), (before, after), gate, noise)
    if noise is not None and question.margin > question.same_within:
        finest = math.expm1(question.margin)
        row = replace(row, note=f"this machine's noise is {finest:.1%}: smaller changes are not judged")
    return row, question


def _question(
    subject: Subject,
    runs: tuple[Runs, Runs],
    values: tuple[Sequence[float], Sequence[float]],
    gate: Gate,
    noise: Noise | None,
) -> Question:
    before, after = ([math.log(value) for value in one] for one in values)
    base, new = Side.of(before), Side.of(after)
    effect = math.log1p(gate.min_effect)
    if gate.is_blocked:
        return Question(Difference.of_blocks(before, after), effect, effect, subject.up_is_worse)
    if noise is None:
        return Question(Difference(base, new), effect, effect, subject.up_is_worse)
    margin = max(effect, noise.finest(base.runs, new.runs))
    if can_be_significant(base.runs, new.runs):
        return Question(Difference(base, new), margin, effect, subject.up_is_worse)
    base, new = (_with_noise(side, noise, subject, one) for side, one in zip((base, new), runs, strict=True))
    return Question(Difference(base, new, noise.freedom), margin, effect, subject.up_is_worse, is_certified=True)


def _with_noise(side: Side, noise: Noise, subject: Subject, runs: Runs) -> Side:
    """Return the side with the larger of the machine's noise and what a single run varied by within itself."""
    within = 0.0
    if side.runs == 1 and subject.endpoint == ALL:
        # The first and last second are cut short by the ramp of connections and the end.
        points = [point for point in runs[0].timeline[1:-1] if point.span_seconds]
        within = variance_within([value for point in points if (value := subject.within(point))]) or 0.0
    return side.with_noise(max(noise.variance, within), noise.freedom)


def _errors_question(subject: Subject, base: Runs, new: Runs, gate: Gate) -> Question:
    before, after = (_errors_side(subject, runs) for runs in (base, new))
    margin = ERRORS_MARGIN + gate.min_effect * before.mean
    return Question(Difference(before, after), margin, max(margin, ERRORS_SAME), up_is_worse=True)


def _errors_side(subject: Subject, runs: Runs) -> Side:
    """Return the share of failed requests, with at least the variance that counts of independent requests have.

    Where no request failed, runs do not vary, but that is no proof that none ever fails: half an error is added.
    """
    side = Side.of([subject.value(run) or 0.0 for run in runs])
    endpoints = [one for run in runs if (one := find_endpoint(run, subject.endpoint)) is not None]
    requests = sum(one.total_requests for one in endpoints)
    share = (sum(one.failed_requests for one in endpoints) + 0.5) / (requests + 1)
    counted = share * (1 - share) * len(runs) / requests
    return side.with_noise(counted, max(requests - 1, 1))


def _answered(row: Row, question: Question, judged: Evaluation) -> Row:
    low, high = question.difference.interval(CONFIDENCE)
    change = question.difference.estimate
    if row.measure != ERRORS:
        change, low, high = (_as_share(value) for value in (change, low, high))
    known = math.isfinite(low) and math.isfinite(high)
    return replace(
        row,
        change=change,
        low=low if known else None,
        high=high if known else None,
        p_value=judged.p_value if known else None,
        answer=judged.answer,
        runs_needed=judged.runs_needed,
    )


def _as_share(logarithm: float) -> float:
    try:
        return math.expm1(logarithm)
    except OverflowError:
        return math.inf


def _notes(base: Runs, new: Runs, gate: Gate) -> list[str]:
    notes = []
    few = [f"{subject.measure} of {subject.endpoint}" for subject in too_few([*base, *new], gate.measures)]
    if few:
        notes.append(f"too few requests to compute {', '.join(few)}")
    if gate.is_blocked:
        notes.append(f"compared inside of {len(base)} blocks: what both runs of a block share is no noise")
    if not can_be_significant(len(base), len(new)):
        notes.append(_few_runs(f"{len(base)} against {len(new)} runs", gate.noise))
    return notes


def _few_runs(counts: str, noise: Certificate | None) -> str:
    if noise is None:
        remedy = "(5 runs a side show it; or measure it once with `calibrate --noise`)"
        return f"{counts} cannot prove a change: the noise between runs is not known {remedy}"
    if noise.runs < LEAST_RUNS:
        return f"{counts} cannot prove a change: this machine's noise was measured over {noise.runs} runs only"
    return f"{counts}: judged by this machine's noise, measured over {noise.runs} runs"
