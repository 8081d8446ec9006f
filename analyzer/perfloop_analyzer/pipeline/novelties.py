"""Feeds a streaming novelty detector per signal from the history, and returns its scores as findings.

A finding waits for the next moment of the history, which is minutes later: a value that was there for one moment alone
is an outlier, and sooner or later every series has one that is unlike anything before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.detectors.novelty import Clock, NoveltyDetector, alarm_threshold
from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.pipeline.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.series import Batch, Floats, Labels

HOUR, DAY = 3600.0, 86_400.0
MOST_SERIES = 1000
RECENT_SECONDS = 1800.0
STILL = 0.5  # of how far the value was from what was usual


@dataclass(slots=True)
class _Watched:
    """One signal's detector, the labels of its rows, the last moment that it was fed, and what waits, by row."""

    detector: NoveltyDetector
    labels: tuple[Labels, ...]
    fed_until: float
    waiting: dict[int, Finding] = field(default_factory=dict)

    def confirmed(self, values: Floats) -> list[Finding]:
        """Return what waited and is still half as far away at the next moment; a row without a value waits on."""
        missing = {row: one for row, one in self.waiting.items() if not np.isfinite(values[row])}
        there = [(values[row], one) for row, one in self.waiting.items() if row not in missing]
        self.waiting = missing
        return [one for now, one in there if (now - one.expected) / (one.value - one.expected) >= STILL]


class NoveltyWatch:
    """The detectors of all signals; one restarts when its series change or the clock was set back."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def watch(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal], window: str) -> list[Finding]:
        """Return the findings of the last RECENT_SECONDS; the more series are watched, the newer a value must be."""
        watched = [
            Subject(batch, catalog[name], window)
            for name, batch in batches.items()
            if "anomaly" in catalog[name].detect and 0 < len(batch) <= MOST_SERIES
        ]
        alarm_from = alarm_threshold(sum(len(subject.batch) for subject in watched))
        return [finding for subject in watched for finding in self._feed(subject, alarm_from)]

    def _feed(self, subject: Subject, alarm_from: float) -> list[Finding]:
        batch = subject.batch
        watched = self._watched.get(batch.signal)
        if watched is None or watched.labels != batch.labels or watched.fed_until > batch.grid.end:
            step = batch.grid.step
            clock = Clock(max(2, round(HOUR / step)), max(8, round(DAY / step)), max(8, round(DAY / step)))
            watched = _Watched(NoveltyDetector(len(batch), clock), batch.labels, -np.inf)
            self._watched[batch.signal] = watched
        watched.detector.alarm_from = alarm_from
        found: list[Finding] = []
        times = batch.grid.times()
        for column in _to_feed(batch, watched.fed_until):
            moment = times[column]
            scores = watched.detector.update(batch.values[:, column])
            watched.fed_until = float(moment)
            found += watched.confirmed(batch.values[:, column])
            if moment >= batch.grid.end - RECENT_SECONDS:
                for row in np.flatnonzero(scores >= alarm_from):
                    if (finding := _finding(subject, int(row), column, scores)) is not None:
                        watched.waiting[int(row)] = finding
        return found


def _to_feed(batch: Batch, fed_until: float) -> range:
    """Return the columns to feed: empty ones too, which keep the time of day, but none before or after all values."""
    there = np.flatnonzero(np.isfinite(batch.values).any(axis=0))
    if not there.size:
        return range(0)
    first = there[0] if np.isinf(fed_until) else np.searchsorted(batch.grid.times(), fed_until, side="right")
    return range(int(first), int(there[-1]) + 1)


def _finding(subject: Subject, row: int, column: int, scores: Floats) -> Finding | None:
    values = subject.batch.values[row]
    expected = float(np.nanmedian(values[:column])) if np.isfinite(values[:column]).any() else float("nan")
    worse = subject.signal.is_worse(float(values[column]), expected)
    if not worse or abs(values[column] - expected) < subject.signal.min_deviation:
        return None
    numbers = {"value": values[column], "expected": expected, "score": scores[row], "onset": column}
    return subject.finding(row, "novelty", Severity.INFO, **numbers)
