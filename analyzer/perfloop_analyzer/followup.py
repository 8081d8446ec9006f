"""Measures what implemented recommendations brought, and concludes each as soon as it is sure."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.ports import Query, Source, Store
from perfloop_analyzer.recommend.conclusion import (
    LONGEST_LOOK,
    Conclusion,
    Observed,
    Question,
    conclude,
    conclude_without_data,
)
from perfloop_analyzer.recommend.validation import GAP, LEAST_AFTER, Course, Trial
from perfloop_analyzer.series import Batch, Floats, Grid, Labels, service_of
from perfloop_analyzer.waste import WASTE
from perfloop_analyzer.waste_followup import conclude_waste
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.recommend import Recommendation

LOAD = "request_rate"
BEFORE = 30  # points while the trouble stood
NORMAL = 60  # points before it, of which the metric's own movement is learned
LONGEST_WAIT = 2 * LONGEST_LOOK  # points after the change, of which half may have no value
LEAST_AHEAD = 2  # points between them: the start of a finding is an estimate
# The same hours without the change: what falls then too falls by itself.
EARLIER: Mapping[str, float] = {"a week": 7 * 86_400.0, "a day": 86_400.0}
MOST_OTHERS = 5  # services that are compared; each costs some hundredths of a second


class FollowUp:
    """Queries the metric of each implemented recommendation around the change, and concludes."""

    def __init__(self, source: Source, store: Store) -> None:
        self._source = source
        self._store = store

    async def measure(self, catalog: Mapping[str, Signal], window: str, at: float) -> None:
        """Conclude what can be concluded; the others are looked at again the next time.

        Args:
            catalog: The signals, by name.
            window: The rate window; points that far apart share no sample.
            at: The moment of the cycle in Unix seconds.

        Raises:
            StoreError: The database could not be read or written.
        """
        for recommendation in await asyncio.to_thread(self._store.recommendations, "implemented"):
            if recommendation.category == WASTE:
                metric = recommendation.signal
                found = await conclude_waste(self._source, recommendation, catalog, window, at)
            else:
                trial = trial_of(recommendation, catalog)
                metric = trial.metric if trial else ""
                found = await self._judge(trial, catalog, window, at) if trial else None
            if found:
                measured = found.verdict.as_dict() | {"metric": metric} if found.verdict else None
                await asyncio.to_thread(self._store.conclude, recommendation.id, found.step, measured, at, found.words)

    async def _judge(self, trial: Trial, catalog: Mapping[str, Signal], window: str, at: float) -> Conclusion | None:
        """Return what can be said of one recommendation now; None while it is too early."""
        signal, step = catalog[trial.metric], parse_duration(window)
        spans = grids(trial, step, at)
        unseen, passed = trial.changed - trial.until, at - trial.changed
        question = Question(signal.label, signal.direction == "above", step, unseen, passed, trial.promised)
        if early := conclude_without_data(question, int((~in_proof(trial, spans[1])).sum())):
            return early
        if spans[2].points < LEAST_AFTER:
            return None
        asked = [signal, *([catalog[LOAD]] if LOAD in catalog and trial.metric != LOAD else [])]
        queries = [Query(one.name, one.query(window)) for one in asked]
        answers = [(await self._source.query(queries, grid)).batches for grid in spans]
        observed = replace(
            _observe(trial, catalog, spans, answers), earlier=await self._earlier(trial, signal, window, spans)
        )
        return await asyncio.to_thread(conclude, question, observed)

    async def _earlier(self, trial: Trial, signal: Signal, window: str, spans: Sequence[Grid]) -> dict[str, Course]:
        """Return the metric at the same hours of EARLIER, in words; nothing where there is no history."""
        found = {}
        for words, shift in EARLIER.items():
            queries = [Query(signal.name, signal.query(window))]
            shifted = [replace(grid, start=grid.start - shift) for grid in spans]
            answers = [(await self._source.query(queries, grid)).batches for grid in shifted]
            normal, before, after = (
                _over(one.get(signal.name), replace(trial, proofs=()), signal, grid)
                for one, grid in zip(answers, shifted, strict=True)
            )
            if np.isfinite(before).any() and np.isfinite(after).any():
                found[words] = Course(before, after, normal)
        return found


def _observe(
    trial: Trial, catalog: Mapping[str, Signal], spans: Sequence[Grid], answers: Sequence[Mapping[str, Batch]]
) -> Observed:
    """Return the courses of the metric, of the load, and of the same metric of other services."""
    signal = catalog[trial.metric]

    def course_of(name: str, where: Trial) -> Course:
        parts = [
            _over(answer.get(name), where, catalog[name], grid) for answer, grid in zip(answers, spans, strict=True)
        ]
        return Course(normal=parts[0], before=parts[1], after=parts[2])

    load = course_of(LOAD, replace(trial, labels={})) if any(LOAD in answer for answer in answers) else None
    services = {
        service_of(labels, signal.service)
        for answer in answers
        if trial.metric in answer
        for labels in answer[trial.metric].labels
    }
    others = sorted(services - {trial.service})[:MOST_OTHERS]
    return Observed(
        course_of(trial.metric, trial),
        load,
        {other: course_of(trial.metric, replace(trial, service=other, labels={})) for other in others},
    )


def _over(batch: Batch | None, trial: Trial, signal: Signal, grid: Grid) -> Floats:
    """Return a metric over a whole grid, NaN where it has no value."""
    values = course(batch, trial, signal)
    if not len(values):
        return np.full(grid.points, np.nan)
    return np.where(in_proof(trial, grid), np.nan, values)


def in_proof(trial: Trial, grid: Grid) -> NDArray[np.bool_]:
    """Return which windows of a grid, each ending at its moment, see anything of a proof's time."""
    times, seen = grid.times(), np.zeros(grid.points, dtype=np.bool_)
    for start, end in trial.proofs:
        seen |= (times >= start) & (times < end + grid.step)
    return seen


def trial_of(recommendation: Recommendation, catalog: Mapping[str, Signal]) -> Trial | None:
    """Return what to compare: the metric that was to improve, while the finding held and after the change.

    None where the stored evidence does not say it.
    """
    try:
        return _trial_of(recommendation, catalog)
    except (KeyError, TypeError, ValueError):
        return None


def _trial_of(recommendation: Recommendation, catalog: Mapping[str, Signal]) -> Trial | None:
    promised = recommendation.improvement.metric if recommendation.improvement else ""
    shown = [item for item in recommendation.evidence if item.get("signal") in catalog]
    until = recommendation.values.get("stood_until")
    if until is None or not shown:
        return None
    labels = _labels(shown, recommendation.service)
    metric = promised if promised in catalog else str(shown[0]["signal"])
    since = min(float(item["onset"]) for item in shown)
    least = recommendation.improvement.low if recommendation.improvement and metric == promised else 0.0
    proofs, changed = recommendation.proof_spans, recommendation.updated
    return Trial(metric, recommendation.service, labels, since, float(until), changed, least, proofs)


def _labels(shown: Sequence[Mapping[str, Any]], service: str) -> Labels:
    labels = shown[0].get("labels")
    return dict(labels) if isinstance(labels, dict) else {"service": service}


def grids(trial: Trial, step: float, at: float) -> tuple[Grid, Grid, Grid]:
    """Return the grids before the trouble, while it stood until the change, and since; `step` is in seconds.

    The last two have no points where there are no whole windows yet.
    """
    stood = min(_windows(trial.changed - trial.since, step), BEFORE)
    passed = min(max(0, _windows(at - trial.changed, step) - GAP + 1), LONGEST_WAIT)
    ahead = trial.since - LEAST_AHEAD * step
    return (
        Grid(ahead - (NORMAL - 1) * step, step, NORMAL),
        Grid(trial.changed - (stood - 1) * step, step, stood),
        Grid(trial.changed + GAP * step, step, passed),
    )


def _windows(seconds: float, step: float) -> int:
    return max(0, int(seconds // step))


def course(batch: Batch | None, trial: Trial, signal: Signal) -> Floats:
    """Return the metric over the grid, shape (points,): the sum of the series that the trial's labels allow."""
    if batch is None:
        return np.empty(0)
    rows = [row for row, labels in enumerate(batch.labels) if _same(labels, trial, signal)]
    values = batch.values[rows]
    return np.where(np.isfinite(values).any(axis=0), np.nansum(values, axis=0), np.nan) if rows else np.empty(0)


def _same(labels: Labels, trial: Trial, signal: Signal) -> bool:
    common = set(labels) & set(trial.labels)
    return service_of(labels, signal.service) == trial.service and all(labels[n] == trial.labels[n] for n in common)
