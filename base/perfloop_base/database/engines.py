"""Opening the database of a URL: what SQLite and PostgreSQL are asked for, so that no call waits without an end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import StaticPool

from perfloop_base.errors import ConfigError
from perfloop_base.redaction import redact_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

MEMORY = frozenset({"sqlite://", "sqlite:///:memory:"})
CONNECT_SECONDS = 5
STATEMENT_MILLISECONDS = 10_000
# A program that was frozen between two statements must not hold its locks for longer.
IDLE_MILLISECONDS = 5_000


def open_engine(url: str) -> Engine:
    """Return the engine of a database URL; nothing is connected yet.

    Raises:
        ConfigError: It is no database URL, or its driver is not installed.
    """
    try:
        if url in MEMORY:
            return create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        made = make_url(url)
        arguments = _postgresql(made) if made.get_backend_name() == "postgresql" else {}
        engine = create_engine(made, pool_pre_ping=True, json_deserializer=_read_json, connect_args=arguments)
    except (ArgumentError, ModuleNotFoundError, ValueError, TypeError) as error:
        # The driver's words may repeat the URL with its password.
        reason = str(error).replace(url, redact_url(url))
        raise ConfigError(
            f"--store.url has value '{redact_url(url)}', which is not a database URL: {reason}"
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def shown_url(url: URL) -> str:
    """Return a URL for messages: without its password and its parameters, which may hold another."""
    return url.set(query={}).render_as_string(hide_password=True)


def file_of(engine: Engine) -> Path | None:
    """Return the file of a SQLite database; None for one in memory or on a server."""
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or database == ":memory:" or database.startswith("file:"):
        return None
    return Path(database)


def _postgresql(url: URL) -> dict[str, Any]:
    """Return what bounds every wait for a server, where the URL does not say it."""
    arguments: dict[str, Any] = {}
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_SECONDS
    if "options" not in url.query and url.get_driver_name() in {"psycopg", "psycopg2"}:
        limits = {
            "statement_timeout": STATEMENT_MILLISECONDS,
            "lock_timeout": STATEMENT_MILLISECONDS,
            "idle_in_transaction_session_timeout": IDLE_MILLISECONDS,
        }
        arguments["options"] = " ".join(f"-c {name}={value}" for name, value in limits.items())
    return arguments


def _read_json(text: str | bytes) -> Any:
    """Return a stored value; one that is no JSON reads as nothing, so that one bad row does not hide the others."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


def _set_pragmas(connection: Any, _record: object) -> None:
    """Set pragmas: a rollback journal with full sync survives SIGKILL at any moment; a lock is waited for 2 s.

    Not the write-ahead log: its shared-memory file is mapped, and a process whose mapped file is cut off gets SIGBUS.
    """
    connection.execute("PRAGMA busy_timeout=2000")
    # A database of an earlier version has a write-ahead log; while another program has it open it keeps it.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA synchronous=FULL")
