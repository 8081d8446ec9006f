"""Measures what implemented recommendations brought: each becomes validated or refuted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.ports import Query, Source, Store
from perfloop_analyzer.recommend.validation import AFTER, BEFORE, Trial, Verdict, judge
from perfloop_analyzer.series import Batch, Floats, Grid, Labels, service_of
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.recommend import Recommendation

DAY = 86_400.0


class FollowUp:
    """Queries the metric of each implemented recommendation before and after the change, and concludes."""

    def __init__(self, source: Source, store: Store) -> None:
        self._source = source
        self._store = store

    async def measure(self, catalog: Mapping[str, Signal], window: str, at: float) -> None:
        """Conclude what can be concluded.

        A recommendation without enough data stays as it is, and for good once its change is a day old.

        Args:
            catalog: The signals, by name.
            window: The rate window; points that far apart share no sample.
            at: The moment of the cycle in Unix seconds.

        Raises:
            StoreError: The database could not be read or written.
        """
        step = parse_duration(window)
        for recommendation in await asyncio.to_thread(self._store.recommendations, "implemented"):
            trial = trial_of(recommendation, catalog)
            if trial and (AFTER + 2) * step <= at - trial.changed <= DAY:
                verdict = await self._judge(trial, catalog[trial.metric], window, step)
                if verdict:
                    outcome = "validate" if verdict.holds else "refute"
                    measured = verdict.as_dict() | {"metric": trial.metric}
                    await asyncio.to_thread(self._store.conclude, recommendation.id, outcome, measured, at)

    async def _judge(self, trial: Trial, signal: Signal, window: str, step: float) -> Verdict | None:
        queries = [Query(trial.metric, signal.query(window))]
        before, after = [
            course((await self._source.query(queries, grid)).batches.get(trial.metric), trial, signal)
            for grid in grids(trial, step)
        ]
        return judge(before, after, above=signal.direction == "above")


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
    return Trial(metric, recommendation.service, labels, since, float(until), recommendation.updated)


def _labels(shown: Sequence[Mapping[str, Any]], service: str) -> Labels:
    labels = shown[0].get("labels")
    return dict(labels) if isinstance(labels, dict) else {"service": service}


def grids(trial: Trial, step: float) -> tuple[Grid, Grid]:
    """Return the grids before the change, while the finding held, and after it; `step` is in seconds."""
    points = int(np.clip((trial.until - trial.since) // step, 1, BEFORE))
    before = Grid(trial.until - (points - 1) * step, step, points)
    # The first two steps after the change still see samples from before it.
    return before, Grid(trial.changed + 2 * step, step, AFTER)


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
