"""The inbox's state on disk: one SQLite file, written before an answer is given; memory alone where there is none.

A write that fails is kept and tried again with the next one, and `perfloop_state_writable` says so. A file that is no
database any more is moved aside, and what memory holds is written to a new one.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfloop_base.state import StateHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

Statement = tuple[str, tuple[Any, ...]]

STATE = "inbox"
FILE = "inbox.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS incidents (number INTEGER PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# Beyond so many writes that failed, the oldest are lost with the next restart; memory holds what they said.
_MAX_PENDING = 20_000
# How long another process may hold the file, in seconds.
_LOCK_SECONDS = 1.0

log = logging.getLogger(__name__)


class Store:
    """Rows of text in one file.

    Args:
        path: the database, or None to keep nothing.
        health: what is known of the state, for the metrics.
    """

    def __init__(self, path: Path | None, health: StateHealth | None = None) -> None:
        self.health = health or StateHealth([STATE] if path else [])
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._pending: deque[Statement] = deque(maxlen=_MAX_PENDING)
        self._snapshot: Callable[[], Iterable[Statement]] = lambda: ()
        if path is not None:
            self._open(rebuild=False)

    @property
    def writable(self) -> bool:
        """Whether the last write worked."""
        return all(facts.writable for facts in self.health.facts())

    def set_snapshot(self, snapshot: Callable[[], Iterable[Statement]]) -> None:
        """Say what has to be written to a new file."""
        self._snapshot = snapshot

    def read(self, query: str) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query; none where nothing can be read."""
        if self._connection is None:
            return []
        try:
            return self._connection.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            self.close()  # the next write opens it again, and moves it aside where it is corrupt
            self._note_failure(error)
            return []

    def write(self, statements: Iterable[Statement]) -> None:
        """Write in one transaction, with all that could not be written before; it is on the disk when this returns."""
        if self._path is None:
            return
        self._pending.extend(statements)
        if not self._pending:
            return
        if self._connection is None or self._was_replaced():
            self._open(rebuild=True)
        self._flush()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _flush(self) -> None:
        try:
            self._commit()
        except sqlite3.DatabaseError as error:
            self.close()
            if not _is_corrupt(error) or not self._set_aside(error):
                self._note_failure(error)
                return
            self._open(rebuild=True)
            try:
                self._commit()
            except sqlite3.DatabaseError as failure:
                self.close()
                self._note_failure(failure)

    def _commit(self) -> None:
        if self._connection is None:
            return
        with self._connection:
            for sql, values in self._pending:
                self._connection.execute(sql, values)
        self._pending.clear()
        if self.health.note_write(STATE, worked=True):
            log.info("the state can be written again", extra={"path": str(self._path)})

    def _was_replaced(self) -> bool:
        """Return whether the file was removed or replaced: SQLite would go on writing to the old one."""
        try:
            return self._path is not None and self._path.stat().st_ino != self._inode
        except OSError:
            return True

    def _open(self, *, rebuild: bool) -> None:
        """Open the file, and move one that is not a database aside."""
        assert self._path is not None  # noqa: S101 - for the type checker: nobody opens without a path
        self.close()
        for attempt in ("as it is", "new"):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._connection = _connect(self._path)
                self._inode = self._path.stat().st_ino
            except (sqlite3.DatabaseError, OSError) as error:
                self.close()
                if attempt == "new" or not _is_corrupt(error) or not self._set_aside(error):
                    self._note_failure(error)
                    return
                continue
            if rebuild:
                self._pending.extendleft(reversed(list(self._snapshot())))
            return

    def _note_failure(self, error: Exception) -> None:
        if self.health.note_write(STATE, worked=False):
            log.error("the state cannot be written: going on in memory", extra={"path": str(self._path), "why": error})

    def _set_aside(self, error: Exception) -> bool:
        assert self._path is not None  # noqa: S101 - for the type checker: nobody opens without a path
        try:
            moved = self.health.set_aside(STATE, self._path, datetime.now(tz=UTC))
        except OSError as failure:
            self._note_failure(failure)
            return False
        log.error(
            "the state was corrupt: it was moved aside and replaced by a new one",
            extra={"to": str(moved), "why": error},
        )
        return True


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_SECONDS)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        _check(connection)
        connection.executescript(_SCHEMA)
        for table, columns in (
            ("messages", "id, document"),
            ("incidents", "number, document"),
            ("facts", "name, value"),
        ):
            connection.execute(f"SELECT {columns} FROM {table} LIMIT 1")  # noqa: S608 - names of this module
    except BaseException:
        connection.close()
        raise
    path.chmod(0o600)
    return connection


def _check(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")


def _is_corrupt(error: Exception) -> bool:
    """Return whether the content is at fault; a full disk, a lock or a missing permission is not."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    corrupt = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ERROR}
    if code is not None:
        # The low byte is the kind, the rest the details. A short read is a file that was truncated.
        return (code & 0xFF) in corrupt or code == sqlite3.SQLITE_IOERR_SHORT_READ
    return str(error).startswith("malformed")
