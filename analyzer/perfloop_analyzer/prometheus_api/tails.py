"""Keeps the windows and the history that were read: of an expression that is known only the new end is asked.

A range query evaluates its expression at each moment of its grid by itself, so that a column that was answered stays
what it was, unless samples arrive late. Columns of the newest LATE_SECONDS are therefore asked again, and everything
from time to time. What is kept is bounded: beyond it the answer that was not asked for longest goes first.
"""

from __future__ import annotations

import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.ports import Query, Responses, SourceAround
from perfloop_analyzer.prometheus_api.columns import join_columns
from perfloop_analyzer.series import Batch, Grid, LabelSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfloop_analyzer.ports import Source
    from perfloop_analyzer.series import Labels

LEAST_POINTS = 32  # of a grid whose answers are kept
# Scrapes are there at once; remote writers and recording rules take up to a minute.
LATE_SECONDS = 60.0
REREAD_SECONDS = 600.0  # at least, and
REREAD_PART = 28  # of its length, 6 h of a week: after which all of a range is asked again
STAGGER_SECONDS = 300.0  # within which the ranges that were first asked together are asked again
FORGET_SECONDS = 3600.0  # after which nobody asks for a range any more
MOST_PHASES = 8  # of one step: cycles at 10 s and points at 15 s have three
EARLY, TOLERANCE = 0.25, 1.0  # seconds that a grid is moved so that it has the phase of one that is known


@dataclass(slots=True)
class _Kept:
    """One range: its newest answer, when all of it was read and when it was asked for, on the monotonic clock."""

    batch: Batch
    skew: float
    read: float
    asked: float


_Place = tuple[str, float, int, float]  # expression, step, points, phase


class TailCache(SourceAround):
    """A source that asks another one only for what it does not know yet."""

    def __init__(self, source: Source, most_values: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Read through a source; at most `most_values` values are kept, of 8 bytes each."""
        super().__init__(source)
        self._most = most_values
        self._clock = clock
        self._kept: OrderedDict[_Place, _Kept] = OrderedDict()
        self._phases: dict[tuple[float, int], list[float]] = {}
        self._values = 0

    @property
    def values(self) -> int:
        """How many values are kept."""
        return self._values

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Run every query over the grid, moved by up to a second where that saves reading all of it."""
        if grid.points < LEAST_POINTS or len({one.signal for one in queries}) < len(queries):
            return await self._source.query(queries, grid)
        now = self._clock()
        self._forget(now)
        grid, phase = self._align(grid)
        if phase is None:
            return await self._source.query(queries, grid)
        asked: dict[Grid, list[Query]] = {}
        for query in queries:
            asked.setdefault(self._missing(query, grid, phase, now), []).append(query)
        batches: dict[str, Batch] = {}
        failures: dict[str, str] = {}
        samples, seconds = 0, 0.0
        for part, those in asked.items():
            responses = await self._source.query(those, part)
            samples, seconds = samples + responses.samples, seconds + responses.seconds
            failures |= responses.failures
            for query in those:
                if (batch := responses.batches.get(query.signal)) is not None:
                    batches[query.signal] = self._keep(query, batch, grid, phase, whole=part == grid)
        order = {query.signal: batches[query.signal] for query in queries if query.signal in batches}
        return Responses(order, failures, samples, seconds)

    def _align(self, grid: Grid) -> tuple[Grid, float | None]:
        """Return the grid at the nearest phase that is known, and the phase; None where there are too many."""
        known = self._phases.setdefault((grid.step, grid.points), [])
        most = min(TOLERANCE, grid.step / 4)
        for phase in known:
            late = (grid.start - phase) % grid.step
            if late <= most:
                return replace(grid, start=grid.start - late), phase
            if grid.step - late <= min(EARLY, most):
                return replace(grid, start=grid.start + grid.step - late), phase
        if len(known) >= MOST_PHASES:
            return grid, None
        known.append(grid.start % grid.step)
        return grid, known[-1]

    def _missing(self, query: Query, grid: Grid, phase: float, now: float) -> Grid:
        """Return what of a grid is to be asked."""
        kept = self._kept.get(_place(query, grid, phase))
        if kept is None or kept.skew != self.skew or now >= kept.read + _reread(query, grid):
            return grid
        known = round((kept.batch.grid.end - grid.start) / grid.step)  # the last column that is known
        first = known - max(1, grid.points_in(LATE_SECONDS)) + 1
        if first <= 0 or known >= grid.points:
            return grid
        return Grid(grid.start + first * grid.step, grid.step, grid.points - first)

    def _keep(self, query: Query, batch: Batch, grid: Grid, phase: float, *, whole: bool) -> Batch:
        """Return the answer over the whole grid, and keep it."""
        place, now = _place(query, grid, phase), self._clock()
        held = self._kept.pop(place, None)
        if held is not None:
            self._values -= held.batch.values.size
        read = now if whole or held is None else held.read
        if not whole and held is not None:
            batch = join_columns(query.signal, grid, [held.batch, batch])
        batch = replace(batch, labels=self._same_labels(place, batch.labels))
        batch.values.flags.writeable = False  # it is read again
        if batch.values.size <= self._most:
            self._kept[place] = _Kept(batch, self.skew, read, now)
            self._values += batch.values.size
            while self._values > self._most:
                _, oldest = self._kept.popitem(last=False)
                self._values -= oldest.batch.values.size
        return batch

    def _same_labels(self, place: _Place, labels: tuple[Labels, ...]) -> tuple[Labels, ...]:
        """Return the labels as one object for all phases of an expression: it remembers what follows from them."""
        if isinstance(labels, LabelSet):
            return labels
        for other, kept in self._kept.items():
            if other[:3] == place[:3] and kept.batch.labels == labels:
                return kept.batch.labels
        return LabelSet(labels)

    def _forget(self, now: float) -> None:
        """Drop what nobody asks for any more: the expressions of an earlier configuration."""
        for place in [place for place, kept in self._kept.items() if now - kept.asked > FORGET_SECONDS]:
            self._values -= self._kept.pop(place).batch.values.size
        used = {(step, points, phase) for _, step, points, phase in self._kept}
        for (step, points), phases in self._phases.items():
            phases[:] = [one for one in phases if (step, points, one) in used]


def _place(query: Query, grid: Grid, phase: float) -> _Place:
    return (f"{query.signal} {query.expr}", grid.step, grid.points, phase)


def _reread(query: Query, grid: Grid) -> float:
    """Return after how many seconds all of a range is asked again, each a little later than the one before."""
    share = zlib.crc32(query.expr.encode("utf-8", "surrogatepass")) / 2**32
    return max(REREAD_SECONDS, grid.points * grid.step / REREAD_PART) + STAGGER_SECONDS * share
