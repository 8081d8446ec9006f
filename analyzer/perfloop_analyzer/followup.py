"""Follows what people did: an implemented recommendation is measured, and becomes validated or refuted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from perfloop_analyzer.ports import Question, Source, Store
from perfloop_analyzer.recommend.validation import AFTER, BEFORE, Trial, Verdict, judge
from perfloop_analyzer.series import Batch, Floats, Grid, Labels, service_of
from perfloop_base.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.recommend import Recommendation

DAY = 86_400.0


class FollowUp:
    """Asks for the metric of each implemented recommendation before and after the change, and concludes."""

    def __init__(self, source: Source, store: Store, catalog: Mapping[str, Signal]) -> None:
        self._source = source
        self._store = store
        self._catalog = catalog

    async def look(self, window: str, at: float) -> None:
        """Conclude what can be concluded; what lacks data is left as it is, and after a day for good."""
        step = parse_duration(window)
        for made in await asyncio.to_thread(self._store.recommendations, "implemented"):
            trial = trial_of(made, self._catalog)
            if trial and (AFTER + 2) * step <= at - trial.changed <= DAY:
                verdict = await self._try(trial, window, step)
                if verdict:
                    outcome = "validate" if verdict.holds else "refute"
                    measured = verdict.as_dict() | {"metric": trial.metric}
                    await asyncio.to_thread(self._store.conclude, made.id, outcome, measured, at)

    async def _try(self, trial: Trial, window: str, step: float) -> Verdict | None:
        signal = self._catalog[trial.metric]
        asked = [Question(trial.metric, signal.query(window))]
        spans = []
        for grid in grids(trial, step):
            answers = await self._source.ask(asked, grid)
            spans.append(course(answers.batches.get(trial.metric), trial, signal))
        return judge(spans[0], spans[1], above=signal.direction == "above")


def trial_of(made: Recommendation, catalog: Mapping[str, Signal]) -> Trial | None:
    """Return what to compare for a recommendation: the metric it promised to improve, while its finding stood."""
    promised = made.improvement.metric if made.improvement else ""
    shown = [item for item in made.evidence if item.get("signal") in catalog]
    until = made.values.get("stood_until")
    if until is None or not shown:
        return None
    labels = _labels(shown, made.service)
    metric = promised if promised in catalog else str(shown[0]["signal"])
    since = min(float(item["onset"]) for item in shown)
    return Trial(metric, made.service, labels, since, float(until), made.updated)


def _labels(shown: Sequence[Mapping[str, Any]], service: str) -> Labels:
    labels = shown[0].get("labels")
    return dict(labels) if isinstance(labels, dict) else {"service": service}


def grids(trial: Trial, step: float) -> tuple[Grid, Grid]:
    """Return the moments before, while the trouble stood, and after, both one rate window apart."""
    points = int(np.clip((trial.until - trial.since) // step, 1, BEFORE))
    before = Grid(trial.until - (points - 1) * step, step, points)
    return before, Grid(trial.changed + 2 * step, step, AFTER)


def course(batch: Batch | None, trial: Trial, signal: Signal) -> Floats:
    """Return the metric over the grid: the sum of the service's series that the finding's labels do not rule out."""
    if batch is None:
        return np.empty(0)
    rows = [row for row, labels in enumerate(batch.labels) if _same(labels, trial, signal)]
    values = batch.values[rows]
    return np.where(np.isfinite(values).any(axis=0), np.nansum(values, axis=0), np.nan) if rows else np.empty(0)


def _same(labels: Labels, trial: Trial, signal: Signal) -> bool:
    common = set(labels) & set(trial.labels)
    return service_of(labels, signal.service) == trial.service and all(labels[n] == trial.labels[n] for n in common)
