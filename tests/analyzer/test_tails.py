"""What is read only once: windows and history that are kept, ranges in pieces, long answers decoded as they come."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.errors import BadAnswer
from perfloop_analyzer.ports import Query, Responses
from perfloop_analyzer.prometheus_api import Pieces, PrometheusSource, TailCache
from perfloop_analyzer.prometheus_api.decode import decode_range
from perfloop_analyzer.prometheus_api.pieces import is_too_much, pieces_of
from perfloop_analyzer.prometheus_api.streaming import MatrixReader
from perfloop_analyzer.series import Batch, Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = 15.0
POINTS = 60


@dataclass
class Sea:
    """A store of series that come and go: each value is a function of its moment, as PromQL's are."""

    series: int = 6
    most_points: int = 10**9
    asked: list[Grid] = field(default_factory=list)
    skew: float = 0.0

    def batch(self, query: Query, grid: Grid) -> Batch:
        """Return what a range query would."""
        times = grid.times()
        rows = np.array([self._row(number, times) for number in range(self.series)]).reshape(-1, grid.points)
        there = np.isfinite(rows).any(axis=1)
        labels = tuple({"service": f"s{number:02}", "of": query.expr} for number in np.flatnonzero(there))
        return Batch(query.signal, grid, labels, rows[there])

    @staticmethod
    def _row(number: int, times: Any) -> Any:
        values = np.sin(times / (40.0 + number)) + number
        # Each is away for a while, and comes back; the last one begins late and ends early.
        return np.where((times / 600.0 + number) % 5 < 3, values, np.nan)

    async def query(self, queries: Sequence[Query], grid: Grid) -> Responses:
        """Answer, unless that is too much."""
        self.asked.append(grid)
        if grid.points > self.most_points:
            words = "HTTP 422, execution: query processing would load too many samples into memory in query execution"
            return Responses({}, {query.signal: f"{query.signal}: {words}" for query in queries})
        batches = {query.signal: self.batch(query, grid) for query in queries}
        return Responses(batches, {}, sum(batch.values.size for batch in batches.values()))

    async def scrape_interval(self) -> float | None:
        """Return nothing."""


def _same(one: Batch, other: Batch) -> None:
    assert one.labels == other.labels
    assert one.grid == other.grid
    np.testing.assert_array_equal(one.values, other.values)


QUERIES = [Query("a", "first"), Query("b", "second")]


@given(pauses=st.lists(st.integers(0, 80), min_size=1, max_size=30), start=st.integers(10**6, 2 * 10**6))
@settings(max_examples=60, deadline=None)
def test_what_is_kept_is_what_would_be_read(pauses: list[int], start: int) -> None:
    """After any pauses, with any phase, the answer is that of asking for all of it."""
    sea, now = Sea(), 0.0
    cache = TailCache(sea, 10**6, lambda: now)
    for pause in pauses:
        now += pause
        grid = Grid(start + now, STEP, POINTS)
        answers = asyncio.run(cache.query(QUERIES, grid))
        for query in QUERIES:
            _same(answers.batches[query.signal], sea.batch(query, answers.batches[query.signal].grid))
            assert abs(answers.batches[query.signal].grid.start - grid.start) <= 1.0


def test_only_the_new_end_is_asked() -> None:
    """A cycle each ten seconds reads a tenth of what it would, though its points are fifteen apart."""
    sea, now = Sea(), 0.0
    cache = TailCache(sea, 10**6, lambda: now)

    async def run() -> None:
        nonlocal now
        for number in range(30):
            now = 10.0 * number
            # Cycles begin some milliseconds late.
            await cache.query(QUERIES, Grid(5000.0 + now + 0.003 * (number % 7), STEP, POINTS))

    asyncio.run(run())
    sizes = [grid.points for grid in sea.asked]
    assert sizes[:3] == [POINTS] * 3
    assert max(sizes[3:]) <= 6


def test_everything_is_asked_again_from_time_to_time() -> None:
    """Samples that came hours late are seen after ten to fifteen minutes."""
    sea, now = Sea(), 0.0
    cache = TailCache(sea, 10**6, lambda: now)
    for number in range(90):
        now = 10.0 * number
        asyncio.run(cache.query(QUERIES[:1], Grid(6000.0 + now, 10.0, POINTS)))
    assert [grid.points for grid in sea.asked].count(POINTS) == 2


@pytest.mark.parametrize("jump", [-3600.0, 7200.0])
def test_a_clock_that_jumps_makes_it_read_all(jump: float) -> None:
    """Neither backwards nor far ahead is anything of the old columns used."""
    sea = Sea()
    cache = TailCache(sea, 10**6, lambda: 0.0)
    grid = Grid(90_000.0, STEP, POINTS)
    asyncio.run(cache.query(QUERIES, grid))
    later = Grid(90_000.0 + jump, STEP, POINTS)
    answers = asyncio.run(cache.query(QUERIES, later))
    _same(answers.batches["a"], sea.batch(QUERIES[0], later))
    sea.skew = 100.0  # now the same moments mean others
    asyncio.run(cache.query(QUERIES, later))
    assert sea.asked[-1].points == POINTS


def test_what_is_kept_is_bounded() -> None:
    """Beyond the bound the oldest goes first, and an answer that is larger alone is not kept."""
    sea = Sea()
    size = sea.batch(QUERIES[0], Grid(5000.0, STEP, POINTS)).values.size
    cache = TailCache(sea, 3 * size, lambda: 0.0)
    for number in range(10):
        asyncio.run(cache.query([Query("a", f"e{number}")], Grid(5000.0, STEP, POINTS)))
        assert cache.values <= 3 * size
    small = TailCache(sea, size - 1, lambda: 0.0)
    asyncio.run(small.query(QUERIES, Grid(5000.0, STEP, POINTS)))
    assert small.values == 0


def test_nothing_that_was_answered_can_be_changed() -> None:
    """Who reads a window cannot change what the next cycle reads."""
    cache = TailCache(Sea(), 10**6, lambda: 0.0)
    batch = asyncio.run(cache.query(QUERIES, Grid(5000.0, STEP, POINTS))).batches["a"]
    with pytest.raises(ValueError, match="read-only"):
        batch.values[0, 0] = 1.0


@given(most=st.integers(16, 70), start=st.integers(10**5, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_range_that_is_refused_is_asked_in_pieces(most: int, start: int) -> None:
    """Whatever a server allows, the joined answer is that of the whole, and the next time it is known at once."""
    sea, grid = Sea(most_points=most), Grid(float(start), 600.0, 256)
    source = Pieces(sea)
    answers = asyncio.run(source.query(QUERIES, grid))
    assert not answers.failures
    for query in QUERIES:
        _same(answers.batches[query.signal], sea.batch(query, grid))
    before = len(sea.asked)
    asyncio.run(source.query(QUERIES, grid))
    assert all(one.points <= most for one in sea.asked[before:])


def test_pieces_that_do_not_help_are_not_tried_again_and_again() -> None:
    """A limit that is not about the range ends in the server's own words, and costs one question each time."""
    sea, now = Sea(most_points=0), 0.0
    source = Pieces(sea, lambda: now)
    grid = Grid(5000.0, 600.0, 256)
    answers = asyncio.run(source.query(QUERIES[:1], grid))
    assert "too many samples" in answers.failures["a"]
    before = len(sea.asked)
    assert before < 10
    asyncio.run(source.query(QUERIES[:1], grid))
    assert len(sea.asked) == before + 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("HTTP 422, execution: query processing would load too many samples into memory in query execution", True),
        ("HTTP 400, bad_data: exceeded maximum resolution of 11,000 points per timeseries", True),
        ("HTTP 422, the query time range exceeds the limit (query length: 721h, limit: 720h)", True),
        ("HTTP 422, the query exceeded the maximum number of chunks (limit: 2000000 chunks)", True),
        ("HTTP 422, cannot select more than -search.maxSamplesPerQuery=1000000000 samples", True),
        ("the answer is larger than 268435456 bytes", True),
        ("HTTP 503, timeout: query timed out in expression evaluation", False),
        ("HTTP 504, context deadline exceeded", False),
        ("HTTP 429, too many requests, rate limit exceeded", False),
        ("HTTP 400, bad_data: 1:3: parse error: unexpected character", False),
        ("not queried: the budget of 20000000 samples per cycle is used up", False),
        ("", False),
    ],
)
def test_which_refusals_are_about_how_much_was_asked(reason: str, expected: bool) -> None:  # noqa: FBT001
    """A busy server is never asked for the same in more questions."""
    assert is_too_much(reason) is expected


@given(points=st.integers(2, 2000), count=st.integers(1, 16))
def test_pieces_are_the_whole(points: int, count: int) -> None:
    """No point is missing or there twice."""
    grid = Grid(1000.0, 10.0, points)
    found = [time for piece in pieces_of(grid, min(count, points)) for time in piece.times()]
    assert found == grid.times().tolist()


def _body(series: int, points: int, extra: str = "") -> tuple[bytes, Grid]:
    grid = Grid(1e9, 10.0, points)
    rows = [
        {
            "metric": {"service": f"s{n}", "text": 'a"},{"metric":{"x'},
            "values": [[1e9 + 10 * i, f"{n}.{i}"] for i in range(points)],
        }
        for n in range(series)
    ]
    data = json.dumps(rows, separators=(",", ":"))
    return f'{{"status":"success","data":{{"resultType":"matrix","result":{data}}}{extra}}}'.encode(), grid


async def _stream(body: bytes, grid: Grid, size: int, most: int = 10**9) -> tuple[Batch, int]:
    reader, held, longest = MatrixReader("x", grid, asyncio.Lock(), most), bytearray(), 0
    for start in range(0, len(body), size):
        held += body[start : start + size]
        await reader.take(held)
        longest = max(longest, len(held))
    return await reader.finish(bytes(held), 1000), longest


@pytest.mark.parametrize("size", [997, 65_536])
async def test_a_long_answer_is_decoded_while_it_arrives(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts of any size it is the answer as a whole, texts that look like its structure included."""
    monkeypatch.setattr("perfloop_analyzer.prometheus_api.streaming.PART_BYTES", 20_000)
    body, grid = _body(500, 20)
    batch, longest = await _stream(body, grid, size)
    _same(batch, decode_range(body, "x", grid))
    assert longest <= 20_000 + size + 2000
    assert len(body) > 150_000


async def test_what_comes_behind_the_series_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings come after the data; half an answer is named as such."""
    monkeypatch.setattr("perfloop_analyzer.prometheus_api.streaming.PART_BYTES", 5000)
    body, grid = _body(200, 20, ',"warnings":["half of it"]')
    reader, held = MatrixReader("x", grid, asyncio.Lock()), bytearray(body)
    await reader.take(held)
    assert b"half of it" in held
    assert len(held) < len(body) / 10
    assert len(await reader.finish(bytes(held), 1000)) == 200
    with pytest.raises(BadAnswer, match="not a Prometheus response"):
        await _stream(body[:-4000], grid, 1000)


async def test_too_many_series_are_refused_before_they_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, after the part in which the limit is passed."""
    monkeypatch.setattr("perfloop_analyzer.prometheus_api.streaming.PART_BYTES", 20_000)
    body, grid = _body(2000, 20)
    with pytest.raises(BadAnswer, match="series of 20 points are more than 10000 values"):
        await _stream(body, grid, 5000, most=10_000)


async def test_the_memory_of_a_long_answer_is_that_of_its_values() -> None:
    """Ten MiB of JSON need no more than its values, twice, and a part: not ten times the JSON."""
    body, grid = _body(2000, 240)
    tracemalloc.start()
    batch, _ = await _stream(body, grid, 65_536)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(body) > 9 * 2**20
    assert peak < 2 * batch.values.nbytes + 90 * 2**20


async def test_a_real_prometheus_answers_the_same_through_all_of_it(prometheus: str, service: Any) -> None:
    """Kept, in pieces, and as it is: three sources, one answer, while samples arrive."""
    service.text = "depth 5\n"
    config = SourceConfig(prometheus)
    query = [Query("depth", "depth + 0 * time()"), Query("up", "up")]
    async with PrometheusSource(config) as source:
        async with asyncio.timeout(60.0):
            while not (await source.query(query, Grid(time.time() - 60.0, 1.0, 64))).batches["depth"].labels:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        cache = TailCache(source, 10**6)
        for _ in range(3):
            grid = Grid(round(time.time()) - 63.0, 1.0, 64)
            kept = (await cache.query(query, grid)).batches
            whole = (await source.query(query, kept["up"].grid)).batches
            for one in query:
                _same(kept[one.signal], whole[one.signal])
            await asyncio.sleep(1.0)
        assert cache.values > 0
