"""Responses of all kinds: real ones, broken ones, refusals, silence; and the budget."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from perfloop_analyzer.config import SourceConfig
from perfloop_analyzer.errors import BadAnswer, ConfigError
from perfloop_analyzer.ports import Query
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.prometheus_api.budget import Budget
from perfloop_analyzer.prometheus_api.decode import decode_range
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import Iterator

GRID = Grid(1000.0, 10.0, 4)
QUESTION = [Query("up", "up")]


def _matrix(*rows: list[list[object]]) -> bytes:
    result = [{"metric": {"n": str(i)}, "values": values} for i, values in enumerate(rows)]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def test_samples_land_on_their_grid_points() -> None:
    """Gaps stay NaN, infinities and NaN are no data, jitter is rounded, strangers are dropped."""
    body = _matrix(
        [[1000, "1"], [1010, "2"], [1020, "3"], [1030, "4"]],
        [[1010.4, "5"], [1030, "+Inf"]],
        [[1000, "NaN"], [2000, "9"]],
        [],
    )
    values = decode_range(body, "up", GRID).values
    assert values[0].tolist() == [1, 2, 3, 4]
    assert values[1, 1] == 5
    assert np.isnan(values[1, [0, 2, 3]]).all()
    assert np.isnan(values[2:]).all()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"status":"success","data":{"resultTy',
        b"<html>504</html>",
        b"[1, 2]",
        b'{"data": null}',
        b'{"data": {"resultType": "scalar", "result": [1, "2"]}}',
        b'{"data": {"resultType": "matrix", "result": [{"values": [[1, "2"]]}]}}',
        b'{"data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "two"]]}]}}',
        b'{"data": {"resultType": "matrix", "result": [7]}}',
    ],
)
def test_what_is_no_answer_is_a_bad_answer(body: bytes) -> None:
    """Half a JSON, another JSON and a scalar are named, never guessed at."""
    with pytest.raises(BadAnswer, match="up"):
        decode_range(body, "up", GRID)


class Broken:
    """A server that answers as a test says, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.delay = 200, _matrix(), 0.0
        self.asked: list[tuple[str, dict[str, str], str]] = []


@pytest.fixture
def broken() -> Iterator[tuple[Broken, str]]:
    """A server under a test's control."""
    state = Broken()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            state.asked.append((self.path, dict(self.headers), body))
            threading.Event().wait(state.delay)
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = False  # the end waits for every answer: no socket outlives its test

        def handle_error(self, *_: object) -> None:
            """A client that left is what these tests are about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(("status", "asked"), [(400, 1), (422, 1), (429, 3), (500, 3), (503, 3)])
async def test_refusals_are_not_repeated_and_overload_is(broken: tuple[Broken, str], status: int, asked: int) -> None:
    """400 and 422 will not get better; 429 and 5xx may."""
    state, url = broken
    state.status = status
    state.body = b'{"status":"error","errorType":"execution","error":"too many samples"}'
    async with PrometheusSource(SourceConfig(url)) as source:
        answers = await source.query(QUESTION, GRID)
    assert f"HTTP {status}, execution: too many samples" in answers.failures["up"]
    assert asked == len(state.asked)


async def test_headers_path_prefix_and_sign_in_reach_the_server(broken: tuple[Broken, str], tmp_path: Path) -> None:
    """A Mimir behind a prefix with tenant and bearer token is asked as it wants."""
    state, url = broken
    token = tmp_path / "token"
    token.write_text("secret\n")
    config = SourceConfig(f"{url}/mimir/prometheus/", {"X-Scope-OrgID": "team"}, bearer_token_file=token)
    async with PrometheusSource(config) as source:
        await source.query(QUESTION, GRID)
    path, headers, body = state.asked[0]
    assert path == "/mimir/prometheus/api/v1/query_range"
    assert (headers["X-Scope-Orgid"] if "X-Scope-Orgid" in headers else headers["X-Scope-OrgID"]) == "team"
    assert headers["Authorization"] == "Bearer secret"
    assert "start=1000.000&end=1030.000&step=10" in body


async def test_basic_auth(broken: tuple[Broken, str], tmp_path: Path) -> None:
    """User and password file become a basic authorization."""
    state, url = broken
    password = tmp_path / "password"
    password.write_text("p")
    async with PrometheusSource(SourceConfig(url, username="u", password_file=password)) as source:
        await source.query(QUESTION, GRID)
    assert state.asked[0][1]["Authorization"] == "Basic dTpw"


async def test_a_dead_server_closes_the_budget_for_longer_each_time() -> None:
    """Nobody hammers a Prometheus that is down."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with PrometheusSource(SourceConfig(f"http://127.0.0.1:{port}", retries=0)) as source:
        first = await source.query(QUESTION, GRID)
        second = await source.query(QUESTION, GRID)
    assert "does not answer" in first.failures["up"]
    assert "not queried: pausing" in second.failures["up"]


async def test_a_slow_server_is_left_after_a_few_questions(broken: tuple[Broken, str]) -> None:
    """Forty queries do not wait forty timeouts."""
    state, url = broken
    state.delay = 1.0
    config = SourceConfig(url, timeout_seconds=0.2, retries=0, concurrency=2)
    async with PrometheusSource(config) as source:
        many = [Query(f"s{i}", "up") for i in range(40)]
        answers = await asyncio.wait_for(source.query(many, GRID), 5)
    assert len(answers.failures) == 40
    assert len(state.asked) <= 4
    assert any("not queried" in reason for reason in answers.failures.values())


async def test_samples_are_bounded(broken: tuple[Broken, str]) -> None:
    """When the cycle's samples are spent, the rest is not asked for and says so."""
    state, url = broken
    state.body = _matrix(*[[[1000, "1"]]] * 50)
    async with PrometheusSource(SourceConfig(url, max_samples=100, concurrency=1)) as source:
        answers = await source.query([Query(f"s{i}", "up") for i in range(5)], GRID)
    assert list(answers.batches) == ["s0"]
    assert "budget" in answers.failures["s4"]


def test_the_pause_doubles_and_heals() -> None:
    """Five seconds, ten, twenty, up to five minutes; one good answer forgets it all."""
    budget = Budget()
    assert [budget.failed(0.0) for _ in range(3)] == [5.0, 10.0, 20.0]
    for _ in range(10):
        last = budget.failed(0.0)
    assert last == 300.0
    assert not budget.is_open(299.0)
    budget.succeeded()
    assert budget.is_open(0.0)


def test_missing_tls_files_are_named() -> None:
    """A certificate that is not there is a sentence, not a traceback."""
    with pytest.raises(ConfigError, match="TLS files for https://x"):
        PrometheusSource(SourceConfig("https://x", ca_file=Path("/absent.pem")))


async def test_a_real_prometheus_answers_and_refuses(prometheus: str) -> None:
    """The real thing: data, an empty answer, a parse error, and its scrape interval."""
    import time

    async with PrometheusSource(SourceConfig(prometheus)) as source:
        for _ in range(50):
            now = time.time()
            queries = [Query("up", "up"), Query("none", "absent_metric"), Query("bad", "sum(")]
            answers = await source.query(queries, Grid(now - 10, 1.0, 11))
            if np.isfinite(answers.batches["up"].values).any():
                break
            await asyncio.sleep(0.2)
        assert await source.scrape_interval() == 1.0
    assert answers.batches["up"].labels[0]["service"] == "shop"
    assert len(answers.batches["none"]) == 0
    assert "HTTP 400, bad_data" in answers.failures["bad"]
