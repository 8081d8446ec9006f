"""The database through SQLAlchemy: a SQLite file by default, PostgreSQL when DATABASE_URL selects it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import QueuePool, create_engine, delete, event, func, insert, literal_column, select
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from perfloop_base.errors import StartError
from perfloop_demo.service import tables
from perfloop_demo.service.instruments.library import LIBRARY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine, Row, Select, Table

    from perfloop_demo.service.instruments import Instruments

# Small, so that a handful of requests shows an exhausted pool.
POOL_SIZE = 10
# A request that waits longer than this for a connection is answered with 504.
POOL_TIMEOUT_SECONDS = 2.0
_CONNECT_SECONDS = 5
# How soon a waiting query notices that its fault has ended.
_SLICE_SECONDS = 0.1


class Database:
    """The engine and the few statements that the service needs."""

    def __init__(self, url: str, instruments: Instruments = LIBRARY) -> None:
        self.engine = _build_engine(url)
        self.slow_query_seconds = 0.0
        self._in_use: set[Any] = set()
        if self.system == "sqlite":
            event.listen(self.engine, "connect", self._set_up_sqlite)
        # Connections in use, so that `interrupt` can cancel their queries.
        event.listen(self.engine, "checkout", lambda connection, *_: self._in_use.add(connection))
        for moment in ("checkin", "close", "invalidate"):
            event.listen(self.engine, moment, lambda connection, *_: self._in_use.discard(connection))
        event.listen(self.engine, "before_execute", self._slow_down, retval=True)
        instruments.watch_engine(self.engine)

    @property
    def system(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    def prepare(self) -> None:
        """Create the tables that are missing.

        Raises:
            StartError: the database cannot be used.
        """
        try:
            tables.metadata.create_all(self.engine)
        except SQLAlchemyError as error:
            reason = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()[0]
            url = self.engine.url.render_as_string(hide_password=True)
            raise StartError(f"The database {url} cannot be used: {reason}.") from error

    def read(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows of a query."""
        with self.engine.connect() as connection:
            return connection.execute(statement).all()

    def add(self, table: Table, values: Mapping[str, Any], keep: int) -> int:
        """Insert a row, delete all but the newest `keep`, and return the new row's id."""
        with self.engine.begin() as connection:
            result = connection.execute(insert(table).values(**values))
            (number,) = result.inserted_primary_key or (0,)
            connection.execute(delete(table).where(table.c.id <= number - keep))
        return number

    def add_once(self, table: Table, values: Mapping[str, Any], keep: int) -> tuple[int, bool]:
        """Return the id of the row with this digest, and whether it is new."""
        known = self._find(table, values["digest"])
        if known is not None:
            return known, False
        try:
            return self.add(table, values, keep), True
        except IntegrityError:  # another request was faster
            known = self._find(table, values["digest"])
            if known is None:
                raise
            return known, False

    def interrupt(self) -> None:
        """Cancel the running queries, so that a stop does not wait for slow ones."""
        for connection in list(self._in_use):
            if self.system == "postgresql":
                connection.cancel()
            else:
                connection.interrupt()

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    def _find(self, table: Table, digest: str) -> int | None:
        rows = self.read(select(table.c.id).where(table.c.digest == digest))
        return int(rows[0][0]) if rows else None

    def _slow_down(self, _connection: Any, statement: Any, many: Any, params: Any, _options: Any) -> tuple[Any, ...]:
        """Make the server itself wait inside each query, as a missing index or a lock would."""
        if self.slow_query_seconds and getattr(statement, "is_select", False):
            statement = statement.where(self._build_nap() == 1)
        return statement, many, params

    def _set_up_sqlite(self, connection: Any, _record: Any) -> None:
        connection.create_function("sleep", 1, self._sleep)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    def _sleep(self, seconds: float) -> int:
        start = time.monotonic()
        # In slices, so that switching the fault off ends the current waits too.
        while (left := start + min(seconds, self.slow_query_seconds) - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))
        return 1

    def _build_nap(self) -> Any:
        seconds = self.slow_query_seconds
        if self.system == "sqlite":
            return select(func.sleep(seconds)).scalar_subquery()
        # pg_sleep returns void, which cannot be compared: its one row can.
        return select(literal_column("1")).select_from(func.pg_sleep(seconds).alias("nap")).scalar_subquery()


def _build_engine(url: str) -> Engine:
    in_sqlite = url.startswith("sqlite")
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        pool_pre_ping=not in_sqlite,
        connect_args={"check_same_thread": False} if in_sqlite else {"connect_timeout": _CONNECT_SECONDS},
    )
    if in_sqlite and engine.url.database:
        _make_directory(Path(engine.url.database).parent)
    return engine


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"The database's directory {directory} cannot be created: {error.strerror}.") from error
