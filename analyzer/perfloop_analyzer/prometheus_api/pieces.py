"""Long ranges in pieces: a server that refuses a query because it is too long, or reads too much, is asked for less.

What a server allows differs (samples of one query, length of a range, chunks, time), and so do its words; a range that
is refused with words about a limit is halved, and so are its halves. How many pieces an expression needs is remembered.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from perfloop_analyzer.ports import Query, Responses, SourceAround
from perfloop_analyzer.prometheus_api.columns import join_columns
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from perfloop_analyzer.ports import Source
    from perfloop_analyzer.series import Batch

MOST_PIECES = 16
LEAST_POINTS = 16  # of a piece
# Prometheus: "query processing would load too many samples into memory", "exceeded maximum resolution"; Mimir: "the
# query time range exceeds the limit", "the query exceeded the maximum number of chunks"; VictoriaMetrics: "cannot
# select more than -search.maxSamplesPerQuery"; ours: "the answer is larger than".
_TOO_MUCH = re.compile(
    r"too many (samples|points|chunks)|max\w*PerQuery|maximum (resolution|number)|exceeds the (\w+ )?limit|"
    r"range (is )?(too long|limit)|max\w*[- ](query[- ]\w*|fetched|samples|range)|larger than \d+ bytes",
    re.IGNORECASE,
)
# A server that is busy is asked less often, not for less.
_BUSY = re.compile(r"deadline|timed out|not queried|rate limit|too many requests|retry-after", re.IGNORECASE)
# That pieces did not help is remembered for so long: a limit of series, say.
RETRY_SECONDS = 1800.0


@dataclass(slots=True)
class _Cut:
    """Into how many pieces an expression is cut, and until when it is not tried again, on the monotonic clock."""

    pieces: int = 1
    not_before: float = 0.0


class Pieces(SourceAround):
    """A source that asks another one for less at once, where that one refuses a whole range."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(source)
        self._clock = clock
        self._cuts: dict[tuple[str, float, int], _Cut] = {}

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Run every query over the grid, in as many pieces as the server needs."""
        whole = [query for query in queries if self._cut(query, grid).pieces == 1]
        found = await self._source.query(whole, grid) if whole else Responses({}, {})
        batches, failures = dict(found.batches), dict(found.failures)
        samples, seconds = found.samples, found.seconds
        for query in queries:
            if query.signal in batches or not self._is_to_be_cut(query, grid, failures):
                continue
            answer = await self._in_pieces(query, grid)
            samples, seconds = samples + answer.samples, seconds + answer.seconds
            failures.pop(query.signal, None)
            batches |= answer.batches
            failures |= answer.failures
        order = {query.signal: batches[query.signal] for query in queries if query.signal in batches}
        return Responses(order, failures, samples, seconds)

    def _cut(self, query: Query, grid: Grid) -> _Cut:
        return self._cuts.get((query.expr, grid.step, grid.points), _Cut())

    def _is_to_be_cut(self, query: Query, grid: Grid, failures: dict[str, str]) -> bool:
        cut = self._cut(query, grid)
        if grid.points < 2 * LEAST_POINTS or self._clock() < cut.not_before:
            return False
        return cut.pieces > 1 or is_too_much(failures.get(query.signal, ""))

    async def _in_pieces(self, query: Query, grid: Grid) -> Responses:
        """Ask in more and more pieces until the server answers, or there are too many."""
        cut = self._cuts.setdefault((query.expr, grid.step, grid.points), _Cut())
        cut.pieces = max(2, cut.pieces)
        while True:
            answer = await self._ask(query, list(pieces_of(grid, cut.pieces)), grid)
            more = min(2 * cut.pieces, MOST_PIECES, grid.points // LEAST_POINTS)
            if answer.batches or not is_too_much(answer.failures.get(query.signal, "")):
                return answer
            if more <= cut.pieces:
                cut.pieces, cut.not_before = 1, self._clock() + RETRY_SECONDS
                return answer
            cut.pieces = more

    async def _ask(self, query: Query, pieces: list[Grid], grid: Grid) -> Responses:
        parts: list[Batch] = []
        samples, seconds = 0, 0.0
        remarks: dict[str, str] = {}
        for piece in pieces:
            answer = await self._source.query([query], piece)
            samples, seconds = samples + answer.samples, seconds + answer.seconds
            if query.signal not in answer.batches:
                return Responses({}, answer.failures, samples, seconds)
            remarks |= answer.failures
            parts.append(answer.batches[query.signal])
        return Responses({query.signal: join_columns(query.signal, grid, parts)}, remarks, samples, seconds)


def is_too_much(reason: str) -> bool:
    """Return whether a server's refusal is about how much was asked; a pause that it asked for is none."""
    return bool(_TOO_MUCH.search(reason)) and not _BUSY.search(reason)


def pieces_of(grid: Grid, count: int) -> Iterator[Grid]:
    """Return a grid in so many parts, of about the same number of points, in the order of time."""
    edges = [round(grid.points * number / count) for number in range(count + 1)]
    for first, end in pairwise(edges):
        yield Grid(grid.start + first * grid.step, grid.step, end - first)
