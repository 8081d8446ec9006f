"""Reads numbers of one signal of one service from the batches of a cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.findings import Finding, Severity
from perfloop_analyzer.incidents import Movement
from perfloop_analyzer.incidents.causes import MIN_REFERENCE, WORST, robust_deviation, worst_mean
from perfloop_analyzer.pipeline.subject import Subject
from perfloop_analyzer.series import Batch, Floats, current, rows_by_service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal

SETTLE_SECONDS = 30.0  # before the onset: points that may already be affected
STILL_SECONDS = 60.0  # newest points that show how far the series still deviates; at least WORST
MOST_SPREADS = 10.0  # what one point counts at most
RATIO_FLOOR = 0.01  # the smallest spread of a ratio: one in a hundred requests, 1% of a capacity


class Measurements:
    """The measured values of a cycle; None where there is no data. Values are in the signals' units."""

    def __init__(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> None:
        self._batches = batches
        self._catalog = catalog
        self._places: dict[str, Mapping[str, list[int]]] = {}
        self._deviations: dict[tuple[str, int, float], float | None] = {}

    def now(self, signal: str, service: str) -> float | None:
        """Return the sum of the newest values of a service's series of a signal."""
        newest = current(self._rows(signal, service))
        return float(np.nansum(newest)) if np.isfinite(newest).any() else None

    def peak(self, signal: str, service: str) -> float | None:
        """Return the largest value of the window."""
        rows = self._rows(signal, service)
        return float(np.nanmax(rows)) if np.isfinite(rows).any() else None

    def deviation(self, finding: Finding) -> float | None:
        """Return the robust deviation of a finding's series from its own baseline; None where it has no baseline."""
        batch, signal = self._batches.get(finding.signal), self._catalog.get(finding.signal)
        if batch is None or signal is None:
            return None
        rows = [i for i in self._rows_of(finding.signal, finding.service) if batch.labels[i] == finding.labels]
        if not rows:
            return None
        key = (finding.signal, rows[0], finding.onset)
        if key not in self._deviations:
            reference, post = _sides(batch, rows, finding.onset - SETTLE_SECONDS, finding.onset)
            known = np.isfinite(reference).sum(axis=1).max() >= MIN_REFERENCE
            self._deviations[key] = float(_deviations(signal, reference, post).max()) if known else None
        return self._deviations[key]

    def onset(self, name: str, row: int) -> float:
        """Return since when a series is worse than usual, in Unix seconds.

        That is where Page's CUSUM, run backwards from the newest point, is largest: the sum of how many spreads each
        point lies beyond the median, less one. A series that is as usual has its onset at its newest points.
        """
        batch, signal = self._batches[name], self._catalog[name]
        values = batch.values[row]
        sign = 1.0 if signal.direction == "above" else -1.0
        low, middle, high = np.nanpercentile(values, [25, 50, 75])
        spread = max(high - low, 0.1 * abs(middle), _floor(signal)) or 1.0
        excess = np.clip(np.nan_to_num(sign * (values - middle) / spread), -MOST_SPREADS, MOST_SPREADS) - 1.0
        sums = np.cumsum(excess[::-1])[::-1]
        place = int(sums.argmax()) if sums.max() > 0 else len(values) - WORST
        return batch.grid.start + place * batch.grid.step

    def services(self, symptom: Finding) -> set[str]:
        """Return the services that have a series of the symptom's measure."""
        return {service for name in self._same_measure(symptom) for service in self._index(name)}

    def symptom(self, service: str, name: str) -> Finding | None:
        """Return a service's worst series of a signal as a finding, whether or not a detector reports it.

        None where the service has no series of the signal with a value.
        """
        rows, signal = self._rows_of(name, service), self._catalog.get(name)
        rows = [row for row in rows if np.isfinite(self._batches[name].values[row]).any()]
        if signal is None or not rows:
            return None
        subject = Subject(self._batches[name], signal, "")
        found = [self._as_symptom(subject, row) for row in rows]
        return max(found, key=lambda one: self.deviation(one) or 0.0)

    def _as_symptom(self, subject: Subject, row: int) -> Finding:
        grid, values = subject.batch.grid, subject.batch.values[row]
        onset = grid.split(self.onset(subject.signal.name, row))
        before, after = values[:onset], values[onset:]
        numbers = {
            "value": float(np.nanmedian(after if np.isfinite(after).any() else values)),
            "expected": float(np.nanmedian(before if np.isfinite(before).any() else values)),
        }
        return subject.finding(row, "symptom", Severity.INFO, onset=onset, **numbers)

    def movement(self, symptom: Finding, service: str) -> Movement | None:
        """Return how far a service moved since a symptom began, in the symptom's measure.

        Where the service has no series of the symptom's signal, that is its worst one of the same kind, unit and
        direction. None where it has none, or none with a baseline.
        """
        names = [symptom.signal] if self._rows_of(symptom.signal, service) else self._same_measure(symptom)
        moves = (self._movement(name, service, symptom.onset) for name in names)
        return max((one for one in moves if one is not None), key=lambda one: one.deviation, default=None)

    def _same_measure(self, symptom: Finding) -> list[str]:
        measure = (symptom.kind, symptom.unit, symptom.direction)
        return [
            name
            for name in self._batches
            if (one := self._catalog.get(name)) and one.detect and (one.kind, one.unit, one.direction) == measure
        ]

    def _movement(self, name: str, service: str, onset: float) -> Movement | None:
        batch, signal, rows = self._batches[name], self._catalog.get(name), self._rows_of(name, service)
        if signal is None or not rows:
            return None
        # A callee moves before its caller is found to.
        reference, post = _sides(batch, rows, onset - SETTLE_SECONDS, onset - SETTLE_SECONDS)
        there = (np.isfinite(reference).sum(axis=1) >= MIN_REFERENCE) & np.isfinite(post).any(axis=1)
        if not there.any():
            return None
        deviations = np.where(there, _deviations(signal, reference, post), -1.0)
        row = int(deviations.argmax())
        sign = 1.0 if signal.direction == "above" else -1.0
        expected = float(np.nanmedian(reference[row]))
        change = float(worst_mean(sign * (post[row] - expected)[None, :])[0])
        since = batch.values[rows[row], reference.shape[1] :]
        began = int(np.argmax(sign * (since - expected) >= change / 2)) if change > 0 else 0
        return Movement(
            service=service,
            component=signal.component,
            title=signal.label,
            unit=signal.unit,
            deviation=float(deviations[row]),
            change=change,
            value=expected + sign * change,
            expected=expected,
            onset=batch.grid.start + (reference.shape[1] + began) * batch.grid.step,
        )

    def _rows(self, signal: str, service: str) -> Floats:
        batch = self._batches.get(signal)
        return np.empty((0, 1)) if batch is None else batch.values[self._rows_of(signal, service)]

    def _rows_of(self, name: str, service: str) -> list[int]:
        """Return the rows of a service in a signal's batch."""
        return self._index(name).get(service, [])

    def _index(self, name: str) -> Mapping[str, list[int]]:
        """Return the rows of each service in a signal's batch."""
        if name not in self._places:
            own = self._catalog[name].service if name in self._catalog else None
            batch = self._batches.get(name)
            self._places[name] = {} if batch is None else rows_by_service(batch, own)
        return self._places[name]


def _sides(batch: Batch, rows: list[int], until: float, since: float) -> tuple[Floats, Floats]:
    """Return the rows before a moment, and their newest points of those since another."""
    newest = batch.grid.end - max(STILL_SECONDS, (WORST - 1) * batch.grid.step)
    before, after = batch.grid.split(until), batch.grid.split(max(since, newest))
    return batch.values[rows, :before], batch.values[rows, after:]


def _deviations(signal: Signal, reference: Floats, post: Floats) -> Floats:
    return robust_deviation(reference, post, _floor(signal), above=signal.direction == "above")


def _floor(signal: Signal) -> float:
    return max(signal.min_deviation, RATIO_FLOOR if signal.unit == "ratio" else 0.0)
