"""What a server says of its own answers: refused, redirected, later, partial; and native histograms."""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.ports import Query
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.prometheus_api.histograms import reduce_histogram
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

GRID = Grid(1000.0, 10.0, 4)
UP = [Query("up", "up")]


def _matrix(rows: list[dict[str, Any]], **more: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": rows}} | more)


ROW = {"metric": {"service": "shop"}, "values": [[1000 + 10 * at, "1"] for at in range(4)]}
ANSWER = "HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}"


@dataclass
class Server:
    """A server on a real socket: `answers` gives status line, further head lines and body of each request in turn."""

    answers: Callable[[str, int], tuple[str, str, str]]
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    url: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(one.split(":")[1]) for one in head.split("\r\n") if "content-length" in one.lower()), 0)
        form = httpx.QueryParams((await reader.readexactly(length)).decode())
        self.asked.append(form.get("query", ""))
        self.heads.append(head)
        self.moments.append(time.monotonic())
        status, more, body = self.answers(form.get("query", ""), len(self.asked))
        writer.write(ANSWER.format(status, len(body.encode()), more, body).encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Start servers that end with the test."""
    running: list[asyncio.Server] = []

    async def start(answers: Callable[[str, int], tuple[str, str, str]]) -> Server:
        server = Server(answers)
        running.append(await asyncio.start_server(server.handle, "127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{running[-1].sockets[0].getsockname()[1]}"
        return server

    yield start
    for one in running:
        one.close()
        await one.wait_closed()


async def _ask(url: str, queries: list[Query] | None = None, **settings: Any) -> Any:
    async with PrometheusSource(SourceConfig(url, **settings)) as source:
        return await source.query(queries or UP, GRID)


@pytest.mark.parametrize(
    ("status", "head", "body", "words"),
    [
        (
            "301 Moved",
            "Location: https://prom.example/prometheus/api/v1/query_range\r\n",
            "",
            "HTTP 301, it redirects to https://prom.example/prometheus/api/v1/query_range: give the address",
        ),
        (
            "308 Moved",
            "Location: /prometheus/api/v1/query_range\r\n",
            "",
            "redirects to {}/prometheus/api/v1/query_range",
        ),
        ("302 Found", "Location: https://sso.example/login?next=x\r\n", "", "login?next=x: users sign in there"),
        ("302 Found", "Location: https://u:mArKeD-pass@h/x\r\n", "", "https://<secret>@h/x"),
        (
            "200 OK",
            "",
            '{"status":"error","errorType":"bad_data","error":"no such tenant"}',
            "bad_data: no such tenant",
        ),
        ("200 OK", "", '{"status":"error"}', "the response is an error: it gives no reason"),
        ("200 OK", "", "<!DOCTYPE html><title>Sign in</title>", "a web page titled 'Sign in'; users sign in there"),
        ("200 OK", "", "<html><body>hi</body></html>", "a web page without a title"),
        ("403 No", "", "<html><head><title>Access denied</title>", "HTTP 403, a web page titled 'Access denied'"),
        (
            "422 No",
            "",
            '{"status":"error","errorType":"execution","error":"too many"}',
            "HTTP 422, execution: too many",
        ),
        ("503 No", "Retry-After: 600\r\n", "overloaded", "HTTP 503, overloaded; it asks to be queried again later"),
    ],
)
async def test_a_refusal_is_in_the_servers_words(serve: Any, status: str, head: str, body: str, words: str) -> None:
    """A redirect says where to, a page its title, an error its text."""
    server = await serve(lambda _query, _number: (status, head, body))
    answers = await _ask(server.url)
    assert words.format(server.url) in answers.failures["up"]
    assert "mArKeD" not in answers.failures["up"]


@pytest.mark.parametrize("status", ["429 Many", "503 No"])
async def test_retry_after_is_waited_for(serve: Any, status: str) -> None:
    """A second, as the server says, and not the shorter pause of other retries; then the answer counts."""
    server = await serve(
        lambda _query, number: ("200 OK", "", _matrix([ROW])) if number > 1 else (status, "Retry-After: 1\r\n", "")
    )
    answers = await _ask(server.url)
    assert not answers.failures
    assert server.moments[1] - server.moments[0] >= 0.95


async def test_a_long_retry_after_pauses_all_queries(serve: Any) -> None:
    """Nothing is asked again before the server's time, and the reason says which."""
    server = await serve(lambda _query, _number: ("429 Many", "Retry-After: 120\r\n", "slow down"))
    now = [0.0]
    async with PrometheusSource(SourceConfig(server.url), clock=lambda: now[0]) as source:
        assert "Retry-After: 120" in (await source.query(UP, GRID)).failures["up"]
        asked = len(server.asked)
        now[0] = 100.0
        assert "pausing 20 s" in (await source.query(UP, GRID)).failures["up"]
        assert len(server.asked) == asked == 1
        now[0] = 121.0
        await source.query(UP, GRID)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"warnings": ["No StoreAPIs matched"]}, "not whole: No StoreAPIs matched"),
        ({"isPartial": True}, "the server marks it as partial"),
        ({"infos": ["PromQL info: ignored histograms in a range (1:1)"]}, "remarks: PromQL info: ignored histograms"),
        ({"warnings": ["PromQL warning: bucket label 'le' is missing"]}, "remarks: PromQL warning: bucket label"),
        ({"infos": ["a"], "warnings": ["half"], "isPartial": True}, "not whole: half; the server remarks: a"),
    ],
)
async def test_what_a_server_says_against_its_answer_is_reported(serve: Any, more: Any, words: str) -> None:
    """The series are there, and so is the reason why the cycle is partial."""
    server = await serve(lambda _query, _number: ("200 OK", "", _matrix([ROW], **more)))
    answers = await _ask(server.url)
    assert len(answers.batches["up"]) == 1
    assert words in answers.failures["up"]


async def test_a_known_counter_without_its_ending_is_no_news(serve: Any) -> None:
    """postgres_exporter's names: nobody can do anything about that remark."""
    info = 'PromQL info: metric might not be a counter, name does not end in _total: "pg_stat_database_deadlocks" (1:1)'
    server = await serve(lambda _query, _number: ("200 OK", "", _matrix([ROW], infos=[info])))
    assert not (await _ask(server.url)).failures


def _histogram(*buckets: list[Any], total: str = "10") -> dict[str, Any]:
    return {"count": str(sum(float(one[3]) for one in buckets)), "sum": total, "buckets": list(buckets)}


@pytest.mark.parametrize(
    ("signal", "histogram", "value"),
    [
        # The bucket from 1 to 2 is exponential: half of its way is the square root of 2.
        ("x_p50", _histogram([0, "1", "2", "4"]), math.sqrt(2)),
        ("x_p75", _histogram([0, "1", "2", "2"], [0, "2", "4", "2"]), 2 * math.sqrt(2)),
        # Custom bounds are interpolated linearly.
        ("x_p50", _histogram([0, "0.1", "0.25", "4"]), 0.175),
        ("x_p50", _histogram([0, "-Inf", "0.1", "4"]), 0.05),
        ("x_p99", _histogram([0, "0.1", "0.25", "1"], [0, "0.25", "+Inf", "99"]), 0.25),
        # The zero bucket of values that are all positive begins at zero.
        ("x_p50", _histogram([3, "-0.001", "0.001", "10"], [0, "1", "2", "0"]), 0.0005),
        ("x_p50", _histogram([1, "-2", "-1", "4"]), -math.sqrt(2)),
        ("api_latency_mean", _histogram([0, "1", "2", "4"], total="6"), 1.5),
        ("request_rate", _histogram([0, "1", "2", "4"]), 4.0),
        ("response_time", _histogram([0, "1", "2", "100"]), 2**0.95),
        ("x_p95", {"count": "0", "sum": "0"}, math.nan),
    ],
)
def test_a_native_histogram_is_one_number(signal: str, histogram: dict[str, Any], value: float) -> None:
    """The quantile, mean or count that the signal's name says, as Prometheus 3 computes it."""
    assert reduce_histogram(histogram, signal) == pytest.approx(value, nan_ok=True)


async def test_a_query_that_returns_histograms_is_read(serve: Any) -> None:
    """`histograms` in the place of `values`."""
    samples = [[1000 + 10 * at, _histogram([0, "1", "2", "4"])] for at in range(4)]
    rows = [{"metric": {"service": "shop"}, "histograms": samples}]
    server = await serve(lambda _query, _number: ("200 OK", "", _matrix(rows)))
    answers = await _ask(server.url, [Query("latency_p50", "rate(x[1m])")])
    assert answers.batches["latency_p50"].values == pytest.approx(np.full((1, 4), math.sqrt(2)))
    broken = [{"metric": {}, "histograms": [[1000, {"count": "x"}]]}]
    server = await serve(lambda _query, _number: ("200 OK", "", _matrix(broken)))
    assert "no readable values" in (await _ask(server.url)).failures["up"]


QUANTILE = "histogram_quantile(0.95, sum by (service, le) (rate(x_bucket[1m])))"


async def test_classic_queries_find_native_histograms(serve: Any) -> None:
    """Where the buckets are not there: once in both forms, from then on in one query; services of both kinds count."""

    def answer(query: str, _number: int) -> tuple[str, str, str]:
        is_native, is_classic = "rate(x[" in query, "x_bucket" in query
        rows = [ROW | {"metric": {"service": "new"}}] * is_native + [ROW | {"metric": {"service": "old"}}] * is_classic
        return "200 OK", "", _matrix(rows)

    server = await serve(answer)
    async with PrometheusSource(SourceConfig(server.url)) as source:
        for asked in (2, 3):
            answers = await source.query([Query("x_p95", QUANTILE)], GRID)
            assert {labels["service"] for labels in answers.batches["x_p95"].labels} == {"old", "new"}
            assert len(server.asked) == asked
    assert server.asked[-1].startswith(f"({QUANTILE}) or (histogram_quantile(0.95")


async def test_a_server_without_native_histograms_loses_nothing(serve: Any) -> None:
    """It refuses a function that it does not know: that is asked once in a while, and is no failure."""

    def answer(query: str, _number: int) -> tuple[str, str, str]:
        return (
            ("422 No", "", "unknown function histogram_count")
            if "histogram_count" in query
            else ("200 OK", "", _matrix([ROW]))
        )

    server = await serve(answer)
    now = [0.0]
    async with PrometheusSource(SourceConfig(server.url), clock=lambda: now[0]) as source:
        for expected in (2, 3, 4):
            answers = await source.query([Query("rate", "sum(rate(x_count[1m]))")], GRID)
            assert not answers.failures
            assert len(answers.batches["rate"]) == 1
            assert len(server.asked) == expected
        now[0] = 3600.0
        await source.query([Query("rate", "sum(rate(x_count[1m]))")], GRID)
    assert len(server.asked) == 6


async def test_a_user_in_the_url_is_basic_authentication(serve: Any) -> None:
    """Decoded, in the header alone: the request line and the sentences have none of it."""
    server = await serve(lambda _query, _number: ("400 No", "", "no"))
    url = server.url.replace("://", "://us%40er:mArKeD-pass@")
    answers = await _ask(url)
    assert "Authorization: Basic dXNAZXI6bUFyS2VELXBhc3M=" in server.heads[0].replace("authorization", "Authorization")
    assert "mArKeD" not in server.heads[0] + answers.failures["up"]
