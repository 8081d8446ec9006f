"""`instrument_sqlalchemy(engine)`: every statement's duration and the pool's connections."""

from __future__ import annotations

import time
from typing import Any

from exporter.instrument.database import OPERATION_DURATION
from exporter.metrics.registry import DEFAULT

CONNECTION_COUNT = DEFAULT.gauge(
    "db_client_connection_count", "Connections of the pool, by state (idle, used).", ("pool", "state")
)
CONNECTION_MAX = DEFAULT.gauge("db_client_connection_max", "Connections the pool may open at most.", ("pool",))
_OPERATIONS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "PRAGMA", "WITH"})


def instrument_sqlalchemy(engine: Any, pool: str = "default") -> None:
    """Measure an `Engine` or `AsyncEngine`; `pool` names its connection pool in the labels."""
    from sqlalchemy import event

    sync_engine = getattr(engine, "sync_engine", engine)
    system = sync_engine.dialect.name

    def before(connection: Any, *_args: Any) -> None:
        connection.info["perfloop_start"] = time.perf_counter()

    def after(connection: Any, _cursor: Any, statement: str, *_args: Any) -> None:
        seconds = time.perf_counter() - connection.info.pop("perfloop_start")
        OPERATION_DURATION.labels(system, operation_name(statement)).observe(seconds)

    event.listen(sync_engine, "before_cursor_execute", before)
    event.listen(sync_engine, "after_cursor_execute", after)
    _watch_pool(sync_engine.pool, pool)


def operation_name(statement: str) -> str:
    """The statement's first word when it is one of SQL's verbs, else `other`: the label stays bounded."""
    word = statement.lstrip("( \n\t").split(None, 1)[0].upper() if statement.strip() else ""
    return word if word in _OPERATIONS else "other"


def _watch_pool(pool: Any, name: str) -> None:
    from sqlalchemy import event

    used, idle = CONNECTION_COUNT.labels(name, "used"), CONNECTION_COUNT.labels(name, "idle")
    size = getattr(pool, "size", lambda: 0)()
    CONNECTION_MAX.labels(name).set(size + max(getattr(pool, "_max_overflow", 0), 0))

    def update(*_args: Any) -> None:
        used.set(getattr(pool, "checkedout", lambda: 0)())
        idle.set(getattr(pool, "checkedin", lambda: 0)())

    for moment in ("checkout", "checkin"):
        event.listen(pool, moment, update)
