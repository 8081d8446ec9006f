"""Databases: `db_operation`, and SQLAlchemy's engines and pools with SQLite."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, QueuePool, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from perfloop_exporter.instrument import database_pools, db_operation, instrument_sqlalchemy, waiting
from perfloop_exporter.instrument.database_sqlalchemy import only_waits, operation_name
from perfloop_exporter.metrics.registry import DEFAULT

from .conftest import read_default

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DURATION = "db_client_operation_duration_seconds"


@pytest.fixture
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return an engine of an SQLite file with a pool of two connections."""
    made = create_engine(
        f"sqlite:///{tmp_path}/db", poolclass=QueuePool, pool_size=1, max_overflow=1, pool_timeout=0.05
    )
    instrument_sqlalchemy(made, pool=request.node.name)
    instrument_sqlalchemy(made, pool="never")
    yield made
    made.dispose()


def count(operation: str, system: str = "sqlite") -> float:
    """Return the number of operations so far: the registry is process-wide."""
    return read_default(f"{DURATION}_count", db_system_name=system, db_operation_name=operation) or 0


async def test_a_block_is_timed_with_and_without_async():
    """A block is timed; one that raises is timed, too, and counted as an error."""
    with db_operation("vector store", "search"):
        pass
    async with db_operation("vector store", "search"):
        await asyncio.sleep(0.01)
    with pytest.raises(KeyError), db_operation("vector store", "search"):
        raise KeyError
    labels = {"db_system_name": "vector store", "db_operation_name": "search"}
    assert read_default(f"{DURATION}_count", **labels) == 3
    assert (read_default(f"{DURATION}_sum", **labels) or 0) >= 0.01
    assert read_default("db_client_operation_errors_total", **labels, error_type="KeyError") == 1


def test_statements_are_timed_by_verb(engine: Engine):
    """Each statement is one observation under its verb; instrumenting an engine twice has no effect."""
    before = {verb: count(verb) for verb in ("CREATE", "INSERT", "SELECT")}
    with engine.begin() as connection:
        connection.execute(text("create table t (x int)"))
        connection.execute(text("insert into t values (:x)"), [{"x": 1}, {"x": 2}])
        assert connection.execute(text("/* why */ select count(*) from t")).scalar() == 2
    assert {verb: count(verb) - seen for verb, seen in before.items()} == {"CREATE": 1, "INSERT": 1, "SELECT": 1}


def test_the_time_in_the_database_is_measured(engine: Engine):
    """A slow query has a long duration."""
    before = read_default(f"{DURATION}_sum", db_system_name="sqlite", db_operation_name="WITH") or 0
    slow = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000) select max(i) from n"
    with engine.connect() as connection:
        connection.execute(text(slow)).all()
    after = read_default(f"{DURATION}_sum", db_system_name="sqlite", db_operation_name="WITH") or 0
    assert after - before > 0.005


def test_a_failed_statement_is_counted(engine: Engine):
    """The error is raised; its duration is recorded, and it is counted."""
    labels = {"db_system_name": "sqlite", "db_operation_name": "SELECT", "error_type": "OperationalError"}
    seen, failed = count("SELECT"), read_default("db_client_operation_errors_total", **labels) or 0
    with engine.connect() as connection, pytest.raises(OperationalError, match="no such table"):
        connection.execute(text("select * from nowhere"))
    assert count("SELECT") == seen + 1
    assert read_default("db_client_operation_errors_total", **labels) == failed + 1


def test_the_pool_is_read_at_the_scrape(engine: Engine, request: pytest.FixtureRequest):
    """Used, idle and maximum are the pool's at the moment of the scrape; a timeout of the pool is counted."""
    pool = {"pool": request.node.name}
    with engine.connect(), engine.connect():
        assert read_default("db_client_connection_count", state="used", **pool) == 2
        with pytest.raises(PoolTimeoutError):
            engine.connect()
    assert read_default("db_client_connection_count", state="used", **pool) == 0
    assert read_default("db_client_connection_count", state="idle", **pool) == 1
    assert read_default("db_client_connection_max", **pool) == 2
    assert read_default("db_client_connection_timeouts_total", **pool) == 1
    assert read_default("db_client_connection_wait_time_seconds_count", **pool) == 3


def test_a_disposed_engine_is_still_measured(engine: Engine, request: pytest.FixtureRequest):
    """The metrics are those of its new pool."""
    engine.dispose()
    with engine.connect():
        assert read_default("db_client_connection_count", state="used", pool=request.node.name) == 1
    assert read_default("db_client_connection_wait_time_seconds_count", pool=request.node.name) == 1


def test_measuring_does_not_keep_an_engine_alive():
    """An engine without other references is collected."""
    engine = create_engine("sqlite://")
    instrument_sqlalchemy(engine, pool="dropped")
    with engine.connect() as connection:
        connection.execute(text("select 1"))
    engine.dispose()
    gone = weakref.ref(engine)
    del engine, connection
    gc.collect()
    assert gone() is None


async def test_an_async_engine(tmp_path: Path):
    """Statements of an `AsyncEngine` are timed."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/db")
    instrument_sqlalchemy(engine, pool="async")
    before = count("SELECT")
    async with engine.connect() as connection:
        await connection.execute(text("select 1"))
    await engine.dispose()
    assert count("SELECT") == before + 1


def test_a_failure_of_the_metrics_does_not_fail_the_query(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    """When the metrics raise, the query returns its result."""

    def fail(*_args: object) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr("perfloop_exporter.instrument.database.OPERATION_DURATION.labels", fail)
    monkeypatch.setattr("perfloop_exporter.instrument.database_pools.CONNECTION_WAIT.labels", fail)
    with engine.connect() as connection:
        assert connection.execute(text("select 7")).scalar() == 7
    assert DEFAULT.families()


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        ("select 1", "SELECT"),
        ("  (SELECT 1) union (select 2)", "SELECT"),
        ("-- a comment\n/* another\none */ insert into t values (1)", "INSERT"),
        ("with x as (select 1) select * from x", "WITH"),
        ("frobnicate 7", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_operation_names_are_bounded(statement: str | None, verb: str):
    """The label is a SQL verb or `other`, never another part of the statement."""
    assert operation_name(statement) == verb


@pytest.mark.parametrize(
    ("statement", "waits"),
    [
        ("select pg_sleep(5)", True),
        ("SELECT pg_catalog.pg_sleep_for('5 minutes') AS nap;", True),
        ("/* idle */ select * from pg_sleep(%(seconds)s)", True),
        ("select pg_advisory_lock(hashtext('a (b'))", True),
        ("SELECT SLEEP(2)", True),
        ("do sleep(2)", True),
        ("select get_lock('job', 10)", True),
        ("WAITFOR DELAY '00:00:05'", True),
        ("BEGIN DBMS_LOCK.SLEEP(5); END;", True),
        ("select pg_try_advisory_lock(1)", False),
        ("select id, pg_sleep(5) from orders", False),
        ("select * from orders where 1 = (select 1 from pg_sleep(5))", False),
        ("insert into log values ('select pg_sleep(5)')", False),
        ("select sleep from animals", False),
        ("select my_pg_sleep(5)", False),
        ("select 1", False),
    ],
)
def test_only_what_does_nothing_but_wait_is_a_wait(statement: str, waits: bool):  # noqa: FBT001 - a table
    """A statement that also reads is a slow read."""
    assert only_waits(statement) is waits


def test_a_requested_wait_is_not_latency(engine: Engine):
    """`SELECT pg_sleep(…)`, and whatever runs inside of `waiting()`, is recorded as a wait."""

    def nap(connection: Any, _record: object) -> None:
        connection.create_function("pg_sleep", 1, time.sleep)

    event.listen(engine, "connect", nap)
    before = count("SELECT")
    labels = {"db_system_name": "sqlite", "db_operation_name": "SELECT"}
    waited = read_default("db_client_wait_seconds_count", **labels) or 0
    with engine.connect() as connection:
        connection.execute(text("select pg_sleep(0.01)"))
        with waiting():
            connection.execute(text("select 2"))
    with db_operation("postgresql", "notify", waits=True):
        pass
    assert count("SELECT") == before
    assert read_default("db_client_wait_seconds_count", **labels) == waited + 2
    assert read_default("db_client_wait_seconds_count", db_system_name="postgresql", db_operation_name="notify") == 1
    assert count("notify", "postgresql") == 0


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a process does that has no engine yet."""
    monkeypatch.setattr(database_pools, "_watched", weakref.WeakKeyDictionary())
    monkeypatch.setattr(database_pools, "_warned", False)


@pytest.mark.usefixtures("names")
def test_engines_without_a_name_do_not_overwrite_each_other(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """The first is `default`, the others have their database's name, or a number; one warning says so."""

    def pooled(url: str, size: int) -> Engine:
        made = create_engine(url, poolclass=QueuePool, pool_size=size, max_overflow=0)
        instrument_sqlalchemy(made)
        return made

    full = pooled(f"sqlite:///{tmp_path}/orders", 2)
    others = [pooled(f"sqlite:///{tmp_path}/{name}", 20) for name in ("stock", "stock")] + [pooled("sqlite://", 3)]
    held = [full.connect(), full.connect()]

    def used(pool: str) -> tuple[float | None, float | None]:
        return (
            read_default("db_client_connection_count", pool=pool, state="used"),
            read_default("db_client_connection_max", pool=pool),
        )

    assert [used(pool) for pool in ("default", "stock", "stock-2", "default-2")] == [(2, 2), (0, 20), (0, 20), (0, 3)]
    (record,) = caplog.records
    assert "'stock'" in record.getMessage()
    for connection in held:
        connection.close()
    for engine in (full, *others):
        engine.dispose()


@pytest.mark.usefixtures("names")
def test_engines_of_one_name_are_added_up(tmp_path: Path):
    """Two engines that were given the same name are one pool, and none when they are gone."""
    made = [create_engine(f"sqlite:///{tmp_path}/{name}", poolclass=QueuePool, pool_size=4) for name in "ab"]
    for engine in made:
        instrument_sqlalchemy(engine, pool="replicas")
    with made[0].connect(), made[1].connect():
        assert read_default("db_client_connection_count", pool="replicas", state="used") == 2
        assert read_default("db_client_connection_max", pool="replicas") == 2 * (4 + 10)
    for engine in made:
        engine.dispose()
    made.clear()
    del engine
    gc.collect()
    assert read_default("db_client_connection_count", pool="replicas", state="idle") == 0


def test_a_refused_connection_is_an_error_with_its_kind():
    """A closed port, and an unknown path: an error of CONNECT, which is no timeout of the pool."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    closed = create_engine(f"postgresql+psycopg://me@127.0.0.1:{port}/db")
    nowhere = create_engine("sqlite:////nowhere/at/all", poolclass=QueuePool)
    for engine in (closed, nowhere):
        instrument_sqlalchemy(engine, pool="refused")
        with pytest.raises(OperationalError):
            engine.connect()

    def errors(system: str, kind: str) -> float | None:
        labels = {"db_system_name": system, "db_operation_name": "CONNECT", "error_type": kind}
        return read_default("db_client_operation_errors_total", **labels)

    assert errors("postgresql", "ConnectionRefusedError") == 1
    assert errors("sqlite", "FileNotFoundError") == 1
    assert read_default("db_client_connection_timeouts_total", pool="refused") == 0
