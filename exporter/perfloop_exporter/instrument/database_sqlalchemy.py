"""`instrument_sqlalchemy(engine)`: the duration, waits and errors of statements, and the pool (database_pools)."""

from __future__ import annotations

import re
from time import perf_counter
from typing import Any

from perfloop_exporter.instrument.database import count_operation
from perfloop_exporter.instrument.database_pools import watch_pool, watch_waiting
from perfloop_exporter.instrument.failures import never_raising
from perfloop_exporter.instrument.waits import RequestWait, is_waiting

_VERBS = frozenset(
    {
        *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CALL", "WITH", "COPY", "EXPLAIN", "ANALYZE", "VACUUM"),
        *("CREATE", "DROP", "ALTER", "TRUNCATE", "PRAGMA", "SET", "SHOW"),
        *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"),
    }
)
_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+)", re.DOTALL)
_LONGEST_WAIT = 400
# Sleeps, locks of the application's own, and waits for a replica, a message or a notification: of PostgreSQL, MySQL,
# SQL Server and Oracle, in this order.
_WAITING_FUNCTION = (
    r"(?:[\w$]+\.)*(?:pg_sleep(?:_for|_until)?|pg_advisory(?:_xact)?_lock(?:_shared)?"
    r"|sleep|get_lock|(?:master|source)_pos_wait|wait_for_executed_gtid_set"
    r"|(?:dbms_lock|dbms_session)\.sleep|dbms_alert\.wait(?:one|any)|dbms_pipe\.receive_message)"
)
_TEXT = r"[^()']|'[^']*'"
_ARGUMENTS = rf"\((?:{_TEXT}|\((?:{_TEXT})*\))*\)"
_WAIT = re.compile(
    rf"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    rf"(?:(?:select|call|do|perform|exec|begin|select\s+(?:\*|\d+)\s+from)\s+{_WAITING_FUNCTION}\s*{_ARGUMENTS}"
    rf"(?:\s+(?:as\s+)?\w+)?(?:\s+from\s+dual)?(?:\s*;\s*end)?"
    rf"|waitfor\s.*|wait\s+for\s+lsn\s.*)\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
# An attribute of SQLAlchemy's execution context, which exists for one statement.
_STARTED = "_perfloop_started"


def instrument_sqlalchemy(engine: Any, pool: str | None = None) -> None:
    """Measure an `Engine` or `AsyncEngine`; `pool` is the label value of its connection pool.

    Without `pool` the first engine's is `default`, and a further one's its database's name, or else a number. Engines
    that are given the same name are one pool: their connections are added up.
    """
    from sqlalchemy import event

    # SQLAlchemy's events of an AsyncEngine are those of the Engine inside.
    engine = getattr(engine, "sync_engine", engine)
    if not watch_pool(engine, pool):
        return
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "after_cursor_execute", _after)
    event.listen(engine, "handle_error", _failed)
    event.listen(engine, "engine_disposed", watch_waiting)
    watch_waiting(engine)


@never_raising
def _before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: Any) -> None:
    wait = RequestWait() if is_waiting() or only_waits(statement) else None
    setattr(context, _STARTED, (perf_counter(), wait))


@never_raising
def _after(connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: Any) -> None:
    _count(connection.dialect.name, context, statement, None)


@never_raising
def _failed(failure: Any) -> None:
    context = failure.execution_context
    if getattr(context, _STARTED, None) is not None:  # otherwise the error did not occur during a statement
        _count(failure.dialect.name, context, failure.statement, failure.original_exception)


def _count(system: str, context: Any, statement: str | None, error: BaseException | None) -> None:
    started, wait = getattr(context, _STARTED)
    setattr(context, _STARTED, None)
    if wait is not None:
        wait.end()
    count_operation(system, operation_name(statement), perf_counter() - started, error, waits=wait is not None)


def operation_name(statement: str | None) -> str:
    """Return the statement's first word when it is a known SQL verb, else `other`, so that the label stays bounded."""
    found = _FIRST_WORD.match(statement or "")
    word = found.group(1).upper() if found else ""
    return word if word in _VERBS else "other"


def only_waits(statement: str) -> bool:
    """Return whether a statement does nothing but wait, as `SELECT pg_sleep(5)`; one that also reads is a slow read."""
    return len(statement) <= _LONGEST_WAIT and _WAIT.fullmatch(statement) is not None
