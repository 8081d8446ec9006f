"""What an error of the database means: damage, which moving the file aside heals, or something that may pass."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from perfloop_base.redaction import redact
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

# SQLite's result codes: https://www.sqlite.org/rescode.html
_CORRUPT, _NOT_A_DATABASE, _SHORT_READ = 11, 26, 522
WAIT_SECONDS = 2.0
_MISSING = ("no such table", "no such column")


class DamageError(sqlite3.DatabaseError):
    """The database's own check found it damaged."""


class MigrationError(Exception):
    """A step from one schema to the next cannot be made."""


DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error, MigrationError)


def is_damage(error: BaseException) -> bool:
    """Return whether the file itself is damaged, or has lost its tables."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, DamageError):
        return True
    if not isinstance(cause, sqlite3.Error):
        return False
    code = getattr(cause, "sqlite_errorcode", 0) or 0
    return code & 0xFF in {_CORRUPT, _NOT_A_DATABASE} or code == _SHORT_READ or str(cause).startswith(_MISSING)


def has_lost_its_tables(error: BaseException) -> bool:
    """Return whether a server's database may need its migrations again: it was replaced by an empty one."""
    return isinstance(error, ProgrammingError)


def reason_of(error: BaseException) -> str:
    """Return the error in one line, without secrets."""
    lines = str(getattr(error, "orig", None) or error).splitlines()
    return visible(redact(lines[0])) if lines else type(error).__name__


def check(path: Path) -> None:
    """Read a SQLite file through, as it is on the disk: an open connection sees what it remembers.

    Raises:
        DamageError: It is damaged.
        sqlite3.Error: It cannot be read now.
    """
    if path.stat().st_size == 0:
        raise DamageError("the file is empty")
    with contextlib.closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as connection:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise DamageError(found)
