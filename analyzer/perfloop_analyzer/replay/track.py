"""One query's answers over a stretch of the past, from which windows are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfloop_analyzer.series import Batch

if TYPE_CHECKING:
    from perfloop_analyzer.series import Floats, Grid, Labels

Key = tuple[tuple[str, str], ...]
MOST_PATIENCE = 255  # columns


class Track:
    """The answers of one query at the columns `first` to `end` of a lattice of moments; series in Prometheus's order.

    Attributes:
        first: The first column that is held.
        end: The column after the last one.
        failure: Why there is none; empty while there is.
        patience: For how many columns more it is not asked again after a failure.
    """

    def __init__(self, first: int, patience: int = 0) -> None:
        self.first = self.end = first
        self.failure = ""
        self.patience = patience
        self._keys: list[Key] = []
        self._labels: tuple[Labels, ...] = ()
        self._values: Floats = np.empty((0, 0))

    @property
    def series(self) -> int:
        """How many series are held."""
        return len(self._labels)

    def extend(self, batch: Batch, keep_from: int) -> None:
        """Append the columns that follow, and forget those before `keep_from`."""
        keys = [tuple(sorted(labels.items())) for labels in batch.labels]
        kept = self._values[:, max(0, keep_from - self.first) :]
        there = set(np.flatnonzero(np.isfinite(kept).any(axis=1)).tolist())
        known = {key: row for row, key in enumerate(self._keys) if row in there}
        labels = {key: self._labels[row] for key, row in known.items()} | dict(zip(keys, batch.labels, strict=True))
        # Prometheus sorts series by their labels; so must be those of a window, wherever it is cut from.
        order = sorted(labels)
        values = np.full((len(order), kept.shape[1] + batch.grid.points), np.nan)
        place = {key: row for row, key in enumerate(order)}
        for key, row in known.items():
            values[place[key], : kept.shape[1]] = kept[row]
        for row, key in enumerate(keys):
            values[place[key], kept.shape[1] :] = batch.values[row]
        self._keys, self._labels, self._values = order, tuple(labels[key] for key in order), values
        self.end += batch.grid.points
        self.patience = 0
        self.first = self.end - values.shape[1]

    def fail(self, reason: str, end: int) -> None:
        """Hold nothing up to a column for a reason, and longer each time: most failures stay."""
        self.failure, self.end = reason, end + self.patience
        self.patience = min(MOST_PATIENCE, 2 * self.patience + 1)

    def window(self, signal: str, grid: Grid, first: int, end: int) -> Batch:
        """Return the columns from `first` to `end` as a query over a grid would: the series with a value there.

        Where the grid has more points, they are its last ones, and it has no values before them.
        """
        values = np.full((self.series, grid.points), np.nan)
        values[:, grid.points - (end - first) :] = self._values[:, first - self.first : end - self.first]
        there = np.isfinite(values).any(axis=1)
        if there.all():
            return Batch(signal, grid, self._labels, values)
        rows = np.flatnonzero(there)
        return Batch(signal, grid, tuple(self._labels[row] for row in rows), values[rows])
