"""Clocks that differ or jump, servers that hang or send garbage, and secrets that no output may hold."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from perfloop_analyzer.app import _store_commands, open_loop
from perfloop_analyzer.cli import main
from perfloop_analyzer.config import RunConfig, SourceConfig, TargetConfig, parse_url
from perfloop_analyzer.errors import ConfigError, StoreError
from perfloop_analyzer.ports import Query
from perfloop_analyzer.prometheus_api import PrometheusSource
from perfloop_analyzer.published import Published
from perfloop_analyzer.recommend import Recommendation
from perfloop_analyzer.reporters.html import render_page
from perfloop_analyzer.series import Grid
from perfloop_analyzer.store import Database
from perfloop_base.errors import ExitCode
from perfloop_base.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600.0
GRID = Grid(1000.0, 10.0, 4)
SECRET = "xK9-marked-secret"


def _matrix(rows: list[dict[str, Any]], **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": rows}} | more).encode()


class Odd:
    """A server in Prometheus's place: another clock, another body, another speed."""

    def __init__(self) -> None:
        self.ahead, self.body, self.drip = 0.0, b"", 0.0
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    def answer(self, form: dict[str, list[str]]) -> bytes:
        """Return the body; by default one series, whose values are the moments in this server's time."""
        if self.body:
            return self.body
        start, end, step = (float(form[name][0]) for name in ("start", "end", "step"))
        times = [start + number * step for number in range(round((end - start) / step) + 1)]
        now = time.time() + self.ahead
        return _matrix([{"metric": {"service": "shop"}, "values": [[t, "1"] for t in times if t <= now + 1]}])


@pytest.fixture
def odd() -> Iterator[tuple[Odd, str]]:
    """The server and its URL."""
    state = Odd()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            state.asked.append((self.path, form))
            body = state.answer(form)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + (50 if state.drip else 0)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)
                while state.drip:
                    time.sleep(state.drip)
                    self.wfile.write(b" ")

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate((timestamp or time.time()) + state.ahead, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state, f"http://127.0.0.1:{server.server_address[1]}"
    state.drip = 0.0
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 0.0])
async def test_a_clock_that_is_an_hour_off_is_followed(odd: tuple[Odd, str], ahead: float) -> None:
    """Prometheus's machine, or the analyzer's: the same moments are queried in Prometheus's time."""
    state, url = odd
    state.ahead = ahead
    now = time.time()
    async with PrometheusSource(SourceConfig(url)) as source:
        grid = Grid(now - 30.0, 10.0, 4)
        responses = await source.query([Query("up", "up")], grid)
        assert source.skew == pytest.approx(ahead, abs=3.0)
        again = await source.query([Query("up", "up")], grid)
    assert len(state.asked) == (3 if ahead else 2)
    assert float(state.asked[-1][1]["end"][0]) == pytest.approx(now + ahead, abs=3.0)
    for one in (responses, again):
        assert one.batches["up"].grid == grid
        assert (one.batches["up"].values == 1.0).all()


def _recommendation() -> Recommendation:
    return Recommendation("a", "r", "shop", "database", "database", "high", "t", "do", "low", "none", ("x",), ({},))


def test_a_jump_of_the_clock_heals_and_reopens_nothing() -> None:
    """Absence is counted in the time that was watched; two minutes of it heal."""
    database = Database("sqlite://")
    database.merge([_recommendation()], 0.0, 0.0)
    for at in (10.0, 2 * HOUR, -2 * HOUR, 20.0):
        database.merge([], at, 10.0)
        assert [one.state for one in database.recommendations()] == ["open"]
    database.merge([], 30.0, HOUR)
    assert [one.state for one in database.recommendations()] == ["healed"]
    database.close()


async def test_the_service_survives_jumps_of_its_clock(odd: tuple[Odd, str], tmp_path: Path) -> None:
    """Its rhythm is the monotonic clock's, no age is negative, and every cycle gives a result."""
    _, url = odd
    jumps = iter([0.0, HOUR, -HOUR, 0.0])
    offset = 0.0

    def clock() -> float:
        return time.time() + offset

    config = RunConfig(SourceConfig(url), store_url=f"sqlite:///{tmp_path / 's.db'}", interval_seconds=0.3)
    async with open_loop(config, clock=clock) as (loop, _):
        stop = asyncio.Event()
        running = asyncio.create_task(loop.run(stop, clock))
        for offset in jumps:  # noqa: B007 - the clock reads it
            before = loop.published.result
            end = time.monotonic() + 60
            while loop.published.result is before:
                assert time.monotonic() < end, loop.published.error
                await asyncio.sleep(0.05)
            assert 0.0 <= loop.published.age(clock()) < 60.0
            assert "No result since" not in render_page(loop.published, clock())
        stop.set()
        await running
    assert loop.published.costs.cycles["failed"] == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>Sign in</html>", "not a Prometheus response: it is a web page"),
        (b'{"status":"error","errorType":"x","error":"out of order"}', "the response is an error: x: out of order"),
        (_matrix([], status="error", error="half"), "the response is an error: half"),
        (_matrix([{"metric": ["a"], "values": []}]), "its labels are not texts"),
        (b"[" * 200_000, "not a Prometheus response"),
        (_matrix([], warnings=["No StoreAPIs matched for this query"]), "not whole: No StoreAPIs matched"),
        (_matrix([], isPartial=True).replace(b": true", b":true"), "the server marks it as partial"),
    ],
)
async def test_garbage_and_parts_are_named(odd: tuple[Odd, str], body: bytes, words: str) -> None:
    """HTTP 200 is no promise: a sign-in page, an error, half of the shards."""
    state, url = odd
    state.body = body
    async with PrometheusSource(SourceConfig(url, retries=0)) as source:
        answers = await source.query([Query("up", "up")], GRID)
    assert words in answers.failures["up"]


async def test_an_answer_without_an_end_and_one_without_a_bound_are_left(odd: tuple[Odd, str]) -> None:
    """A byte now and then resets no deadline, and a large answer is not read to its end."""
    state, url = odd
    state.drip = 0.1
    started = time.monotonic()
    async with PrometheusSource(SourceConfig(url, timeout_seconds=0.5, retries=0)) as source:
        answers = await source.query([Query("up", "up")], GRID)
    assert "its answer does not end" in answers.failures["up"]
    assert time.monotonic() - started < 15
    state.drip, state.body = 0.0, b" " * 2_000_000
    async with PrometheusSource(SourceConfig(url, max_samples=1000)) as source:
        answers = await source.query([Query("up", "up")], GRID)
    assert "larger than 1064000 bytes" in answers.failures["up"]


async def test_no_name_and_ipv6_are_one_sentence() -> None:
    """A name that does not resolve, and an address in brackets where nothing listens."""
    for url in ("http://prometheus.invalid:9090", "http://[::1]:9"):
        async with PrometheusSource(SourceConfig(url, timeout_seconds=3.0, retries=0)) as source:
            answers = await source.query([Query("up", "up")], GRID)
        assert f"{url} does not answer" in answers.failures["up"]
    assert parse_url("http://[::1]:9090/prefix") == "http://[::1]:9090/prefix"
    for wrong in ("http://", "http://[::1", "http://host:port/", "http://a b/", "ftp://x"):
        with pytest.raises(ValueError, match="is not a URL"):
            parse_url(wrong)


async def test_a_url_with_secrets_is_used_and_shown_nowhere(
    odd: tuple[Odd, str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """User, password and a token in the query reach the server, and no sentence, page or repr of an error."""
    caplog.set_level(logging.DEBUG)
    state, url = odd
    given = f"http://admin:{SECRET}@{urlsplit(url).netloc}/p?token={SECRET}2"
    path = tmp_path / "url"
    path.write_text(given + "\n")
    async with PrometheusSource(SourceConfig(url_file=path).located()) as source:
        await source.query([Query("up", "up")], GRID)
    assert state.asked[0][0] == f"/p/api/v1/query_range?token={SECRET}2"
    closed = SourceConfig(f"http://admin:{SECRET}@127.0.0.1:9/?api_key={SECRET}3", retries=0, concurrency=1)
    async with open_loop(RunConfig(closed)) as (loop, _):
        assert await loop.cycle(time.time()) is None
        page = render_page(loop.published, time.time())
    assert "does not answer" in page
    assert SECRET not in page + loop.published.error + str(loop.failure)
    assert SECRET not in redact(caplog.text)


def test_the_databases_url_is_shown_nowhere(tmp_path: Path) -> None:
    """Neither its password nor what its parameters hold, in errors, commands and pages."""
    urls = (
        f"postgresql+psycopg://pf:{SECRET}@127.0.0.1:9/x?password={SECRET}2&sslmode=disable",
        f"nonsense://pf:{SECRET}@host/x?token={SECRET}2",
        f"postgresql+psycopg://pf:{SECRET}@127.0.0.1:port/x",
    )
    for url in urls:
        with pytest.raises((StoreError, ConfigError)) as caught:
            Database(url)
        assert SECRET not in str(caught.value)
    assert SECRET not in str(_store_commands(RunConfig(store_url=urls[0])))
    path = tmp_path / "url"
    path.write_text(f"sqlite:///{tmp_path}/s.db?{SECRET}=1\n")
    assert _store_commands(RunConfig(store_url_file=path)).flags == (f"--store.url-file={path}",)
    assert TargetConfig(store_url_file=path).store_url_file == path


def test_a_wrong_url_on_the_command_line_is_repeated_without_its_secrets(capfd: Any) -> None:
    """The sentence about a flag names its value, but not what nobody may read."""
    for flags in ([f"--prometheus.url=ftp://u:{SECRET}@h"], [f"--llm.url=http://h:x/?api_key={SECRET}"]):
        assert main(["once", *flags]) == ExitCode.USAGE
        printed = capfd.readouterr()
        assert SECRET not in printed.err + printed.out
        assert "is not a URL" in printed.err


def test_labels_are_visible_in_a_terminal(capfd: Any, tmp_path: Path, build: Any) -> None:
    """Escape sequences and marks of direction are printed as what they are."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    with contextlib.closing(Database(url)) as database:
        one = _recommendation()
        odd_one = Recommendation(**{name: getattr(one, name) for name in one.__slots__} | {"title": "a\x1b[31m\u202eb"})
        database.merge([odd_one], 1.0)
    assert main(["recommendations", f"--store.url={url}"]) == ExitCode.OK
    printed = capfd.readouterr().out
    assert r"a\x1b[31m\u202eb" in printed
    assert not {"\x1b", "\u202e"} & set(printed)
    assert build.finding().place == ""
    assert Published().age(0.0) == 0.0
