"""Databases: `db_operation`, and SQLAlchemy's engines and pools with SQLite."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, QueuePool, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from perfloop_exporter.instrument import db_operation, instrument_sqlalchemy
from perfloop_exporter.instrument.database_sqlalchemy import operation_name
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
    assert read_default("db_client_operation_errors_total", **labels) == 1


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
    labels = {"db_system_name": "sqlite", "db_operation_name": "SELECT"}
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
    monkeypatch.setattr("perfloop_exporter.instrument.database_sqlalchemy.CONNECTION_WAIT.labels", fail)
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
