"""What the formulas of expected improvements read: signals before a finding and since, and days of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.pipeline.history import History, key_of
from perfloop_analyzer.pipeline.measured import Measurements
from perfloop_analyzer.recommend import Course

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfloop_analyzer.catalog import Signal
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend import Usage
    from perfloop_analyzer.series import Batch, Floats

# A rate window is four scrape intervals and a step is one: so many points on either side of an onset see both levels.
MIXED_POINTS = 4
SUMMED = frozenset({"connections", "per_second", "cores", "bytes", "bytes_per_second", "requests", "users", "callers"})


class Inputs(Measurements):
    """The measured values of a cycle, with what was learned from the history."""

    def __init__(self, batches: Mapping[str, Batch], catalog: Mapping[str, Signal], history: History) -> None:
        super().__init__(batches, catalog)
        self._history = history

    def course(self, signal: str, finding: Finding) -> Course | None:
        """Return a signal before a finding and since; None where `window` has none."""
        values = self.window(signal, finding)
        if values is None:
            return None
        onset = self._batches[signal].grid.split(finding.onset)
        before = values[: max(onset - MIXED_POINTS, 0)]
        after = values[onset + MIXED_POINTS :] if onset else values
        return Course(before[np.isfinite(before)], after[np.isfinite(after)])

    def window(self, signal: str, finding: Finding) -> Floats | None:
        """Return a signal over the window, shape (points,), of the series that the finding's labels allow.

        None where there is none, and where there are several that have no sum, such as two ratios.
        """
        batch, known = self._batches.get(signal), self._catalog.get(signal)
        if batch is None or known is None:
            return None
        own = self._rows_of(signal, known.service or finding.service)
        rows = [row for row in own if _agree(batch.labels[row], finding.labels)]
        if not rows or (len(rows) > 1 and known.unit not in SUMMED):
            return None
        return np.asarray(batch.values[rows].sum(axis=0), dtype=np.float64)

    def series(self, signal: str, service: str) -> int:
        """Return how many series of a signal a service has."""
        return len(self._rows_of(signal, service))

    def past(self, signal: str, finding: Finding) -> Usage | None:
        """Return what the days of history say about the use of a finding's series."""
        return self._history.usage.get(signal, {}).get(key_of(finding.labels))


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys() if name != "job")
