"""Reads numbers of one signal of one service from the batches of a cycle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.incidents.causes import MIN_REFERENCE, robust_deviation
from perfloop_analyzer.series import Batch, Floats, current, service_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding

SETTLE_SECONDS = 30.0  # before the onset: points that may already be affected
STILL_SECONDS = 60.0  # newest points that show how far the series still deviates


class Measurements:
    """The measured values of a cycle; None where there is no data. Values are in the signals' units."""

    def __init__(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal]) -> None:
        self._batches = batches
        self._catalog = catalog

    def now(self, signal: str, service: str) -> float | None:
        """Return the sum of the newest values of a service's series of a signal."""
        newest = current(self._rows(signal, service))
        return float(np.nansum(newest)) if np.isfinite(newest).any() else None

    def peak(self, signal: str, service: str) -> float | None:
        """Return the largest value of the window."""
        rows = self._rows(signal, service)
        return float(np.nanmax(rows)) if np.isfinite(rows).any() else None

    def history(self, signal: str, service: str) -> tuple[Floats, Floats] | None:
        """Return the sum of a service's series of a signal over the window, and each point's age in seconds."""
        rows = self._rows(signal, service)
        there = np.isfinite(rows).any(axis=0)
        if not there.any():
            return None
        grid = self._batches[signal].grid
        return np.nansum(rows, axis=0)[there], (grid.end - grid.times())[there]

    def pairs(self, one: str, other: str) -> tuple[Floats, Floats] | None:
        """Return the first series of two signals side by side; None when one has none."""
        left, right = self._batches.get(one), self._batches.get(other)
        if left is None or right is None or not len(left) or not len(right):
            return None
        return left.values[0], right.values[0]

    def deviation(self, finding: Finding) -> float | None:
        """Return the robust deviation of a finding's series from its own baseline; None where it has no baseline."""
        batch, signal = self._batches.get(finding.signal), self._catalog.get(finding.signal)
        if batch is None or signal is None:
            return None
        rows = [i for i, labels in enumerate(batch.labels) if labels == finding.labels]
        if not rows:
            return None
        before = batch.grid.split(finding.onset - SETTLE_SECONDS)
        after = batch.grid.split(max(finding.onset, batch.grid.end - STILL_SECONDS))
        reference, post = batch.values[rows, :before], batch.values[rows, after:]
        if np.isfinite(reference).sum(axis=1).max() < MIN_REFERENCE:
            return None
        above = signal.direction == "above"
        return float(robust_deviation(reference, post, signal.min_deviation, above=above).max())

    def _rows(self, signal: str, service: str) -> Floats:
        batch = self._batches.get(signal)
        if batch is None:
            return np.empty((0, 1))
        own = self._catalog[signal].service if signal in self._catalog else None
        return batch.values[[i for i, labels in enumerate(batch.labels) if service_of(labels, own) == service]]
