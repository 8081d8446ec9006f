"""What the observers share: the rows of a batch, and the moments at which their values step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfloop_analyzer.series import Batch, Floats, Labels


@dataclass(frozen=True, slots=True)
class Row:
    """One series: its labels, and its times and values where it has any, each of shape (points,)."""

    labels: Labels
    index: tuple[int, ...]
    times: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class Step:
    """From one value to the next one: the last time of the old one and the first time of the new one."""

    before: float
    after: float
    old_time: float
    new_time: float


def rows_of(batch: Batch | None) -> Iterator[Row]:
    """Yield the series that have a value; nothing where the query was not answered."""
    if batch is None:
        return
    times = batch.grid.times()
    for labels, values in zip(batch.labels, batch.values, strict=True):
        there = np.flatnonzero(np.isfinite(values))
        if there.size:
            yield Row(labels, tuple(there.tolist()), times[there], values[there])


def steps_of(row: Row) -> Iterator[Step]:
    """Yield every step from one value to another; a gap between them is none of its own."""
    for at in np.flatnonzero(np.diff(row.values) != 0):
        yield Step(float(row.values[at]), float(row.values[at + 1]), float(row.times[at]), float(row.times[at + 1]))
