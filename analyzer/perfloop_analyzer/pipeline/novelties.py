"""Feeds a streaming novelty detector per signal from the history, and returns its scores as findings."""

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
REPORT_FROM = 20.0  # score: two views, each ten digits beyond anything before
RECENT_SECONDS = 1800.0


@dataclass(slots=True)
class _Watched:
    """One signal's detector, the labels of its rows, and the last moment that it was fed."""

    detector: NoveltyDetector
    labels: tuple[Labels, ...]
    fed_until: float


class NoveltyWatch:
    """The detectors of all signals; one restarts when its series change or the clock was set back."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def watch(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal], window: str) -> list[Finding]:
        """Return the findings of the last RECENT_SECONDS."""
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
                reported = (
                    _finding(subject, int(row), column, scores) for row in np.flatnonzero(scores >= REPORT_FROM)
                )
                found += [finding for finding in reported if finding is not None]
        return found


def _finding(subject: Subject, row: int, column: int, scores: Floats) -> Finding | None:
    values = subject.batch.values[row]
    expected = float(np.nanmedian(values[:column])) if np.isfinite(values[:column]).any() else float("nan")
    worse = subject.signal.is_worse(float(values[column]), expected)
    if not worse or abs(values[column] - expected) < subject.signal.min_deviation:
        return None
    numbers = {"value": values[column], "expected": expected, "score": scores[row], "onset": column}
    return subject.finding(row, "novelty", Severity.INFO, **numbers)
