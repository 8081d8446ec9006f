"""`instrument_sqlalchemy(engine)`: the duration of statements, and the pool's connections, waits and timeouts."""

from __future__ import annotations

import re
import weakref
from time import perf_counter
from typing import Any

from perfloop_exporter.instrument.database import count_operation
from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.wrapping import measure_method
from perfloop_exporter.metrics.registry import DEFAULT

CONNECTION_COUNT = DEFAULT.gauge(
    "db_client_connection_count", "Connections of the pool, by state (idle, used).", ("pool", "state")
)
CONNECTION_MAX = DEFAULT.gauge("db_client_connection_max", "Connections that the pool may open at most.", ("pool",))
CONNECTION_WAIT = DEFAULT.histogram(
    "db_client_connection_wait_time_seconds", "Time to get a connection from the pool.", ("pool",)
)
CONNECTION_TIMEOUTS = DEFAULT.counter(
    "db_client_connection_timeouts_total", "Times that no connection was available in time.", ("pool",)
)

_VERBS = frozenset(
    {
        *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CALL", "WITH", "COPY", "EXPLAIN", "ANALYZE", "VACUUM"),
        *("CREATE", "DROP", "ALTER", "TRUNCATE", "PRAGMA", "SET", "SHOW"),
        *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"),
    }
)
_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)", re.DOTALL)
# An attribute of SQLAlchemy's execution context, which exists for one statement.
_STARTED = "_perfloop_started"

# Weak: watching a pool must not keep its engine alive.
_watched: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def instrument_sqlalchemy(engine: Any, pool: str = "default") -> None:
    """Measure an `Engine` or `AsyncEngine`; `pool` is the label value of its connection pool."""
    from sqlalchemy import event

    # SQLAlchemy's events of an AsyncEngine are those of the Engine inside.
    engine = getattr(engine, "sync_engine", engine)
    if engine in _watched:
        return
    _watched[engine] = pool
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "after_cursor_execute", _after)
    event.listen(engine, "handle_error", _failed)
    event.listen(engine, "engine_disposed", _watch_waiting)
    _watch_waiting(engine)


@never_raising
def _before(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: Any) -> None:
    setattr(context, _STARTED, perf_counter())


@never_raising
def _after(connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: Any) -> None:
    started = getattr(context, _STARTED)
    setattr(context, _STARTED, None)
    count_operation(connection.dialect.name, operation_name(statement), perf_counter() - started, None)


@never_raising
def _failed(failure: Any) -> None:
    started = getattr(failure.execution_context, _STARTED, None)
    if started is None:  # the error did not occur during a statement
        return
    setattr(failure.execution_context, _STARTED, None)
    seconds = perf_counter() - started
    count_operation(failure.dialect.name, operation_name(failure.statement), seconds, failure.original_exception)


def operation_name(statement: str | None) -> str:
    """Return the statement's first word when it is a known SQL verb, else `other`, so that the label stays bounded."""
    found = _FIRST_WORD.match(statement or "")
    word = found.group(1).upper() if found else ""
    return word if word in _VERBS else "other"


class _Checkout:
    """One wait for a connection of the pool."""

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._started = perf_counter()

    def finished(self, _answer: Any) -> None:
        """Record the wait."""
        CONNECTION_WAIT.labels(self._pool).observe(perf_counter() - self._started)

    def failed(self, error: BaseException) -> None:
        """Record the wait, and a timeout; the database may also have refused the connection."""
        CONNECTION_WAIT.labels(self._pool).observe(perf_counter() - self._started)
        # SQLAlchemy's own TimeoutError, by its documented code: https://sqlalche.me/e/20/3o7r
        if getattr(error, "code", None) == "3o7r":
            CONNECTION_TIMEOUTS.labels(self._pool).inc()


@never_raising
def _watch_waiting(engine: Any) -> None:
    """Measure the pool's `connect`; called again after dispose(), which creates a new pool."""
    name = _watched[engine]
    CONNECTION_TIMEOUTS.labels(name)
    measure_method(engine.pool, "connect", lambda *_args, **_kwargs: _Checkout(name))


def _read_pools() -> None:
    """Set the gauges to the pools' state at the moment of a scrape."""
    for engine, name in list(_watched.items()):
        pool = engine.pool
        if not hasattr(pool, "checkedout"):  # NullPool keeps no connections
            continue
        CONNECTION_COUNT.labels(name, "used").set(pool.checkedout())
        CONNECTION_COUNT.labels(name, "idle").set(pool.checkedin())
        size, overflow = pool.size(), getattr(pool, "_max_overflow", 0)
        if size > 0 and overflow >= 0:  # otherwise there is no limit
            CONNECTION_MAX.labels(name).set(size + overflow)


DEFAULT.before_read(_read_pools)
