"""Keeps a streaming detector per signal over the history's grid, and words what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.novelty import Clock, NoveltyDetector
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.series import Batch, Floats, Labels

HOUR, DAY = 3600.0, 86_400.0
MOST_SERIES = 1000
TOLD = 20.0  # two views, each ten digits beyond anything before
RECENT_SECONDS = 1800.0


@dataclass(slots=True)
class _Watched:
    """One signal's detector, whose rows stand for these labels, and the last moment it was fed."""

    detector: NoveltyDetector
    labels: tuple[Labels, ...]
    fed_until: float


class NoveltyWatch:
    """Feeds each new column of the history to the detectors; other series or a clock gone back start it afresh."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def watch(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal], window: str) -> list[Finding]:
        """Return what was told as new within the last half hour."""
        found: list[Finding] = []
        for name, batch in batches.items():
            if "anomaly" in catalog[name].detect and 0 < len(batch) <= MOST_SERIES:
                found += self._feed(Subject(batch, catalog[name], window))
        return found

    def _feed(self, subject: Subject) -> list[Finding]:
        batch = subject.batch
        watched = self._watched.get(batch.signal)
        if watched is None or watched.labels != batch.labels or watched.fed_until > batch.grid.end:
            step = batch.grid.step
            clock = Clock(max(2, round(HOUR / step)), max(8, round(DAY / step)), max(8, round(DAY / step)))
            watched = _Watched(NoveltyDetector(len(batch), clock), batch.labels, -np.inf)
            self._watched[batch.signal] = watched
        found = []
        for column, moment in enumerate(batch.grid.times()):
            if moment <= watched.fed_until or not np.isfinite(batch.values[:, column]).any():
                continue
            scores = watched.detector.update(batch.values[:, column])
            watched.fed_until = float(moment)
            if moment >= batch.grid.end - RECENT_SECONDS:
                told = (_word(subject, int(row), column, scores) for row in np.flatnonzero(scores >= TOLD))
                found += [finding for finding in told if finding is not None]
        return found


def _word(subject: Subject, row: int, column: int, scores: Floats) -> Finding | None:
    values = subject.batch.values[row]
    expected = float(np.nanmedian(values[:column])) if np.isfinite(values[:column]).any() else float("nan")
    worse = subject.signal.is_worse(float(values[column]), expected)
    if not worse or abs(values[column] - expected) < subject.signal.min_deviation:
        return None
    numbers = {"value": values[column], "expected": expected, "score": scores[row], "onset": column}
    return subject.finding(row, "novelty", Severity.INFO, **numbers)
