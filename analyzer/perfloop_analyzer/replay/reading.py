"""Reads a Prometheus's past ahead, in a few long range queries, and answers each cycle from it as Prometheus would.

A range query evaluates its expression at each moment of its grid by itself, so that the columns of one long answer are
those of every shorter query at the same moments. Nothing is answered from after a grid's end: what was read ahead is
not seen before its time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfloop_analyzer.ports import Responses
from perfloop_analyzer.replay.track import Track
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from perfloop_analyzer.ports import Query, Source

NOT_READ = "not read in a replay"
MOST_POINTS = 10_000  # of one series in one answer; Prometheus refuses more than 11,000
# Read ahead and held at a time: 40 MB, of one query a third, which is 50 MB of JSON.
MOST_SAMPLES, MOST_OF_ONE = 5_000_000, 1_500_000
GROWTH = 4  # times what was read ahead before: a server that is slow is noticed by a query that is not much too long
MOST_GAP = 256  # columns that nobody asked for, and that are read all the same
ROUNDING = 1e-6  # of a step


@dataclass(slots=True)
class _Lattice:
    """Equally spaced moments, of which column 0 is the origin.

    Attributes:
        ahead: How many columns were last read at a time.
        most: How many may be.
    """

    origin: float
    step: float
    ahead: int = 0
    most: int = MOST_POINTS

    def grid(self, first: int, end: int) -> Grid:
        """Return the grid of some columns; the last one is before `end`."""
        return Grid(self.origin + first * self.step, self.step, end - first)


class ReadAhead:
    """A source that answers windows of the past, each a little later than the one before, from what it read ahead."""

    def __init__(
        self,
        source: Source,
        end: float,
        strides: Mapping[tuple[float, int], float],
        most_samples: int,
        unread: Iterable[str] = (),
    ) -> None:
        """Read from a source.

        Args:
            source: Where the past is.
            end: Nothing after this moment is read, in Unix seconds.
            strides: Which grids are read ahead, by their step and number of points: the time between the moments that
                are held, in seconds. Where that is longer than the step, only the grid's last moment is answered.
                Other grids are passed on.
            most_samples: What one round of queries may read.
            unread: Expressions that are not answered.
        """
        self._source = source
        self._end = end
        self._strides = dict(strides)
        self._most = min(MOST_SAMPLES, most_samples // 2)
        self._unread = frozenset(unread)
        self._lattices: dict[tuple[float, int], _Lattice] = {}
        self._tracks: dict[tuple[str, float, int], Track] = {}
        self._scrape_intervals: list[float | None] = []

    async def scrape_interval(self) -> float | None:
        """Return the source's, which is asked once."""
        if not self._scrape_intervals:
            self._scrape_intervals.append(await self._source.scrape_interval())
        return self._scrape_intervals[0]

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Answer every query over a grid, from what was read ahead where that is possible."""
        refused = {query.signal: f"{query.signal}: {NOT_READ}" for query in queries if query.expr in self._unread}
        asked = [query for query in queries if query.expr not in self._unread]
        found = await self._answer(asked, grid) if asked else Responses({}, {})
        return replace(found, failures={**found.failures, **refused})

    async def _answer(self, queries: Sequence[Query], grid: Grid) -> Responses:
        stride = self._strides.get((grid.step, grid.points))
        if stride is None:
            return await self._source.query(queries, grid)
        phase = round(grid.end % stride * 1000)
        lattice = self._lattices.setdefault((stride, phase), _Lattice(grid.end, stride))
        end = round((grid.end - lattice.origin) / stride) + 1
        first = end - (grid.points if stride == grid.step else 1)
        names = {query.signal: (query.expr, stride, phase) for query in queries}
        # What begins before what is held is not the next window.
        back = [query for query in queries if (held := self._tracks.get(names[query.signal])) and held.first > first]
        passed = await self._source.query(back, grid) if back else Responses({}, {})
        tracks = {query: self._track(names[query.signal], first, end) for query in queries if query not in back}
        read = await self._read(tracks, lattice, first, end)
        batches = {
            query.signal: track.window(query.signal, grid, first, end)
            for query, track in tracks.items()
            if not track.failure
        }
        failures = {query.signal: track.failure for query, track in tracks.items() if track.failure}
        return Responses(
            {**passed.batches, **batches},
            {**passed.failures, **read.failures, **failures},
            passed.samples + read.samples,
            passed.seconds + read.seconds,
        )

    def _track(self, name: tuple[str, float, int], first: int, end: int) -> Track:
        """Return what is held of a query; nothing yet where it failed before, or was not asked for a while."""
        track = self._tracks.get(name)
        if track is None or (track.end < end and (track.failure or track.end + MOST_GAP < first)):
            track = self._tracks[name] = Track(first, track.patience if track else 0)
        return track

    async def _read(self, tracks: Mapping[Query, Track], lattice: _Lattice, first: int, end: int) -> Responses:
        """Read what the tracks lack, all that lack the same columns in one round; return what answers lacked."""
        missing: dict[int, list[Query]] = {}
        for query, track in tracks.items():
            if track.end < end:
                missing.setdefault(track.end, []).append(query)
        failures: dict[str, str] = {}
        samples, seconds = 0, 0.0
        for begin, group in missing.items():
            until = self._until(lattice, [tracks[query] for query in group], begin, end)
            answers = await self._source.query(group, lattice.grid(begin, until))
            samples, seconds = samples + answers.samples, seconds + answers.seconds
            failed = [query for query in group if query.signal not in answers.batches]
            batches, reasons = answers.batches, answers.failures
            if failed and until > end:
                # Perhaps it was too much for one query: what is needed now is not.
                shorter = await self._source.query(failed, lattice.grid(begin, end))
                samples, seconds = samples + shorter.samples, seconds + shorter.seconds
                lattice.most = max(1, (until - begin) // 2) if shorter.batches else lattice.most
                batches, reasons = {**batches, **shorter.batches}, {**reasons, **shorter.failures}
            for query in group:
                if query.signal in batches:
                    tracks[query].extend(batches[query.signal], first)
                else:
                    tracks[query].fail(reasons.get(query.signal, NOT_READ), end)
            failures |= {signal: reason for signal, reason in answers.failures.items() if signal in answers.batches}
        return Responses({}, failures, samples, seconds)

    def _until(self, lattice: _Lattice, tracks: Sequence[Track], begin: int, end: int) -> int:
        """Return the column after the last one to read: more each time, as far as memory and the end allow."""
        if any(track.end == track.first for track in tracks):
            return end  # nothing is known of how many series there are
        lattice.ahead = min(lattice.most, GROWTH * max(lattice.ahead, end - begin))
        series = [max(1, track.series) for track in tracks]
        columns = min(lattice.ahead, self._most // sum(series), MOST_OF_ONE // max(series))
        last = math.floor((self._end - lattice.origin) / lattice.step + ROUNDING)
        return max(end, min(begin + columns, last + 1))
