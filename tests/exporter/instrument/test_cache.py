"""Caches: CacheMetrics, and Redis clients with a real redis-server."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from perfloop_exporter.instrument import CacheMetrics, instrument_redis, waiting
from perfloop_exporter.instrument.cache import OPERATION_ERRORS
from perfloop_exporter.instrument.cache_redis import asked_to_wait

from .conftest import read_default

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_reads_hits_and_misses():
    """A hit counts as a read and a hit, a miss as a read; without `hit`, or with an error, it is not a read."""
    metrics = CacheMetrics("by hand")
    assert read_default("cache_requests_total", cache="by hand") == 0
    for hit in (True, True, False):
        with metrics.operation("get") as operation:
            operation.hit = hit
    with metrics.operation("set"):
        pass
    with pytest.raises(OSError, match="gone"), metrics.operation("get") as operation:  # noqa: PT012 - it is measured
        operation.hit = False
        raise OSError("gone")
    assert read_default("cache_requests_total", cache="by hand") == 3
    assert read_default("cache_hits_total", cache="by hand") == 2
    assert read_default("cache_operation_duration_seconds_count", cache="by hand", operation="get") == 4
    assert read_default("cache_operation_duration_seconds_count", cache="by hand", operation="set") == 1
    assert read_default("cache_operation_errors_total", cache="by hand", operation="get", error_type="OSError") == 1


@pytest.fixture(scope="module")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a redis-server on a socket file."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not on PATH")
    directory: Path = tmp_path_factory.mktemp("redis")
    path = str(directory / "s")
    server = subprocess.Popen(
        [program, "--port", "0", "--unixsocket", path, "--save", "", "--dir", str(directory)], stdout=subprocess.DEVNULL
    )
    while not Path(path).exists():
        time.sleep(0.01)
    yield path
    server.terminate()
    server.wait(60)


def durations(cache: str, operation: str) -> float | None:
    """Return how many operations of this kind were timed."""
    return read_default("cache_operation_duration_seconds_count", cache=cache, operation=operation)


def test_a_redis_client(redis_socket: str):
    """Commands and pipelines are timed, reads and errors are counted, results are unchanged."""
    with redis.Redis(unix_socket_path=redis_socket) as client:
        instrument_redis(client, cache="plain")
        instrument_redis(client, cache="again")
        assert client.set("a", "1") is True
        assert client.get("a") == b"1"
        assert client.get("nowhere") is None
        assert client.mget("a", "nowhere", "a") == [b"1", None, b"1"]
        with client.pipeline() as pipeline:
            pipeline.set("b", "2").get("b")
            assert pipeline.execute() == [True, b"2"]
        with pytest.raises(redis.ResponseError):
            client.lpush("a", "x")
    assert (durations("plain", "set"), durations("plain", "get"), durations("plain", "pipeline")) == (1, 2, 1)
    assert read_default("cache_requests_total", cache="plain") == 5
    assert read_default("cache_hits_total", cache="plain") == 3
    assert (
        read_default("cache_operation_errors_total", cache="plain", operation="lpush", error_type="ResponseError") == 1
    )
    assert durations("again", "get") is None


async def test_an_async_redis_client(redis_socket: str):
    """The same with await."""
    async with redis.asyncio.Redis(unix_socket_path=redis_socket) as client:
        instrument_redis(client, cache="async")
        await client.set("c", "1")
        assert await client.get("c") == b"1"
        assert await client.get("nowhere") is None
        async with client.pipeline() as pipeline:
            pipeline.set("d", "2").get("d")
            assert await pipeline.execute() == [True, b"2"]
    assert (durations("async", "set"), durations("async", "get"), durations("async", "pipeline")) == (1, 2, 1)
    assert read_default("cache_requests_total", cache="async") == 2
    assert read_default("cache_hits_total", cache="async") == 1


def test_a_missing_server(tmp_path: Path):
    """The connection error is raised, timed and counted, and it is not a miss."""
    with redis.Redis(unix_socket_path=str(tmp_path / "none"), retry=Retry(NoBackoff(), 0)) as client:
        instrument_redis(client, cache="gone")
        with pytest.raises(redis.ConnectionError):
            client.get("a")
    assert (
        read_default("cache_operation_errors_total", cache="gone", operation="get", error_type="FileNotFoundError") == 1
    )
    assert read_default("cache_requests_total", cache="gone") == 0


def waits(cache: str, operation: str) -> float | None:
    """Return how many operations of this kind were waits."""
    return read_default("cache_wait_seconds_count", cache=cache, operation=operation)


def test_blocking_commands_are_not_latency(redis_socket: str):
    """Whatever blocks because it was asked to is a wait; the same command without blocking is an operation."""
    with redis.Redis(unix_socket_path=redis_socket) as client:
        instrument_redis(client, cache="worker")
        client.xadd("stream", {"a": "1"})
        client.xgroup_create("stream", "block", id="$")
        blocking: dict[str, Callable[[], object]] = {
            "blpop": lambda: client.blpop(["nothing"], timeout=0.01),
            "brpoplpush": lambda: client.brpoplpush("nothing", "else", timeout=0.01),
            "bzmpop": lambda: client.bzmpop(0.01, 1, ["nothing"], min=True),
            "xread": lambda: client.xread({"stream": "$"}, block=10),
            "xreadgroup": lambda: client.xreadgroup("block", "me", {"stream": ">"}, block=10),
            "wait": lambda: client.wait(1, 10),
            "debug": lambda: client.execute_command("debug sleep", 0.01),
        }
        for name, call in blocking.items():
            with contextlib.suppress(redis.ResponseError):  # DEBUG is off by default
                call()
            assert (waits("worker", name), durations("worker", name)) == (1, None), name
        client.xread({"stream": "0"})
        client.xreadgroup("block", "me", {"stream": ">"}, count=1)
    assert (waits("worker", "xread"), durations("worker", "xread")) == (1, 1)
    assert (waits("worker", "xreadgroup"), durations("worker", "xreadgroup")) == (1, 1)
    assert (read_default("cache_wait_seconds_sum", cache="worker", operation="xread") or 0) >= 0.01


def test_a_pipeline_that_blocks_is_a_wait(redis_socket: str):
    """Without MULTI a pipeline waits as its commands do; within it none does."""
    with redis.Redis(unix_socket_path=redis_socket) as client:
        instrument_redis(client, cache="pipelines")
        for transaction in (False, True):
            with client.pipeline(transaction=transaction) as pipeline:
                pipeline.get("a").blpop(["nothing"], timeout=0.01)
                pipeline.execute()
    assert (waits("pipelines", "pipeline"), durations("pipelines", "pipeline")) == (1, 1)


async def test_a_worker_that_is_stopped_while_it_waits_has_not_failed(redis_socket: str):
    """A cancelled BLPOP is a wait and no error."""
    async with redis.asyncio.Redis(unix_socket_path=redis_socket) as client:
        instrument_redis(client, cache="stopped")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.blpop(["nothing"]), 0.05)
    assert (waits("stopped", "blpop"), durations("stopped", "blpop")) == (1, None)
    failed = [dict(series.labels) for series in OPERATION_ERRORS.series()]
    assert [labels for labels in failed if labels["cache"] == "stopped"] == []


@pytest.mark.parametrize(
    ("command", "waits"),
    [
        ((b"XREAD", b"COUNT", 1, b"BLOCK", b"0", b"STREAMS", "a", "$"), True),
        (("xread", "streams", "block", "$"), False),
        (("XREADGROUP", "GROUP", "BLOCK", "block", "STREAMS", "a", ">"), False),
        (("XREADGROUP", "GROUP", "g", "c", "NOACK", "block", 5, "STREAMS", "a", ">"), True),
        (("DEBUG", "SLEEP", 1), True),
        (("DEBUG", "OBJECT", "SLEEP"), False),
        (("BLMOVE", "a", "b", "LEFT", "RIGHT", 0), True),
        (("WAITAOF", 1, 0, 100), True),
        (("LPOP", "blpop"), False),
        (("BF.ADD", "a", "b"), False),
    ],
)
def test_what_waits_is_known_by_its_words(command: tuple[object, ...], waits: bool):  # noqa: FBT001 - a table
    """The command's name, and the option BLOCK where it may stand; never a key of that name."""
    assert asked_to_wait(command) is waits


def test_waits_of_a_cache_of_ones_own():
    """By its name, by `waits`, or inside of `waiting()`: neither is a latency."""
    metrics = CacheMetrics("own")
    with metrics.operation("blpop"), metrics.operation("next", waits=True):
        pass
    with waiting(), metrics.operation("get"):
        pass
    assert [waits("own", name) for name in ("blpop", "next", "get")] == [1, 1, 1]
    assert [durations("own", name) for name in ("blpop", "next", "get")] == [None, None, None]
