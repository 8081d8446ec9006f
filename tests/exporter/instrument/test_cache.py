"""Caches: CacheMetrics, and Redis clients with a real redis-server."""

from __future__ import annotations

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

from perfloop_exporter.instrument import CacheMetrics, instrument_redis

from .conftest import read_default

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    assert read_default("cache_operation_errors_total", cache="by hand", operation="get") == 1


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
    assert read_default("cache_operation_errors_total", cache="plain", operation="lpush") == 1
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
    assert read_default("cache_operation_errors_total", cache="gone", operation="get") == 1
    assert read_default("cache_requests_total", cache="gone") == 0
