"""The demo service on a real PostgreSQL and a real Redis."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
import redis

from tests.demo.servers import Server, run_postgresql, run_redis
from tests.demo.service.readings import Change, scrape
from tests.support.programs import Program, run_program
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTTP = "http_server_request_duration_seconds"
DATABASE = "db_client_operation_duration_seconds"


@dataclass
class Running:
    """The service and the servers it stands on."""

    program: Program
    postgresql: Server
    redis: Server

    def search(self, query: str = "slow cache") -> int:
        """Search, and return the status."""
        return self.program.client.post("/api/v1/search", json={"query": query}).status_code


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        postgresql, cache = stack.enter_context(run_postgresql()), stack.enter_context(run_redis())
        env = {**os.environ, "DATABASE_URL": postgresql.url, "REDIS_URL": cache.url}
        flags = ["--web.listen-address=127.0.0.1:0", f"--data.dir={directory / 'unused'}"]
        program = stack.enter_context(run_program("perfloop_demo.service", flags, directory, env))
        yield Running(program, postgresql, cache)
        assert not (directory / "unused").exists()


@pytest.fixture
def running(_running: Running) -> Running:
    """The service, healed."""
    _running.program.client.delete("/faults").raise_for_status()
    return _running


def test_every_route(running: Running):
    """Every route works, and health names both servers."""
    client = running.program.client
    health = client.get("/health").json()
    assert (health["database"], health["cache"]) == ("postgresql", "redis")
    assert client.post("/api/v1/process/text", json={"content": "Rows in PostgreSQL."}).status_code == 200
    assert client.post("/api/v1/agents", json={"name": "a", "goal": "b"}).status_code == 201
    assert client.get("/api/v1/agents").json()["agents"]
    assert running.search() == 200


def test_rows_and_keys_are_there(running: Running):
    """What the service stored is in the servers, read by another client."""
    text = "A text that another client reads."
    running.program.client.post("/api/v1/process/text", json={"content": text}).raise_for_status()
    with psycopg.connect(running.postgresql.url) as connection:
        assert connection.execute("SELECT words FROM documents WHERE content = %s", [text]).fetchone() == (6,)
    with redis.Redis.from_url(running.redis.url) as client:
        keys = list(client.scan_iter("perfloop-demo:*"))
        assert keys
        assert all(0 < client.ttl(key) <= 300 for key in keys)


def test_slow_queries(running: Running):
    """PostgreSQL itself sleeps, and the metrics of the database and of the requests show it."""
    running.search()
    change = Change(running.program.client)
    running.program.client.put("/faults", json={"slow_queries": 0.3}).raise_for_status()
    assert [running.search() for _ in range(2)] == [200, 200]
    assert change.mean(DATABASE, db_system_name="postgresql", db_operation_name="SELECT") >= 0.3
    assert change.mean(HTTP, http_route="/api/v1/search") >= 0.3


def test_cache_off(running: Running):
    """Redis is asked and does not know; healed, it knows again."""
    running.search()
    change = Change(running.program.client)
    running.program.client.put("/faults", json={"cache_off": True}).raise_for_status()
    running.search()
    assert (change.of("cache_requests_total", cache="redis"), change.of("cache_hits_total", cache="redis")) == (1, 0)
    running.program.client.delete("/faults")
    running.search()
    assert change.of("cache_hits_total", cache="redis") == 1


def test_pool_exhausted(running: Running):
    """Real connections to PostgreSQL are held, and requests time out waiting."""
    running.program.client.put("/faults", json={"pool_exhausted": 10}).raise_for_status()
    assert scrape(running.program.client).sum("db_client_connection_count", state="used") == 10
    assert running.search() == 504
    with psycopg.connect(running.postgresql.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchone()
    assert row is not None
    assert row[0] >= 10


def test_stop_does_not_wait_for_slow_queries(running: Running, tmp_path: Path):
    """A stop ends the queries that PostgreSQL is busy with: they do not keep it waiting."""
    env = {**os.environ, "DATABASE_URL": running.postgresql.url}
    with (
        run_program("perfloop_demo.service", ["--web.listen-address=127.0.0.1:0"], tmp_path, env) as program,
        ThreadPoolExecutor(1) as pool,
    ):
        program.client.put("/faults", json={"slow_queries": 25}).raise_for_status()
        url = str(program.client.base_url.join("/api/v1/search"))
        waiting = pool.submit(httpx.post, url, json={"query": "x"}, timeout=60)
        time.sleep(1)
        start = time.monotonic()
        assert (program.stop(), "Traceback" in program.log) == (0, False)
        assert (time.monotonic() - start < 10, waiting.result().status_code) == (True, 503)


def test_redis_away(running: Running):
    """Without Redis the service goes on, missing at every read; when it is back, so are the hits."""
    running.redis.stop()
    try:
        change = Change(running.program.client)
        assert running.search() == 200
        assert change.of("cache_hits_total") == 0
    finally:
        running.redis.start()

    def hits() -> bool:
        change = Change(running.program.client)
        assert [running.search(), running.search()] == [200, 200]
        return change.of("cache_hits_total") > 0

    wait_for(hits, "the cache to hit again")


def test_postgresql_away(running: Running):
    """Without PostgreSQL requests end with 503 and a sentence; when it is back, so is the service."""
    running.postgresql.stop()
    try:
        answer = running.program.client.post("/api/v1/search", json={"query": "x"})
        assert (answer.status_code, "Traceback" in running.program.log) == (503, False)
        assert answer.json()["detail"].startswith("The database reported an error")
    finally:
        running.postgresql.start()
    wait_for(lambda: running.search() == 200, "the service to work again")
