"""The connection to the database: each call is one transaction, bounded in time; a damaged database is replaced."""

from __future__ import annotations

import contextlib
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.orm import Session

from perfloop_base.database.engines import file_of, open_engine, shown_url
from perfloop_base.database.faults import DATABASE_ERRORS, check, has_lost_its_tables, is_damage, reason_of
from perfloop_base.database.upgrade import upgrade
from perfloop_base.errors import NewerStoreError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Engine

    from perfloop_base.database.upgrade import Schema

CALLS = 4  # that may wait for a database which hangs; the next ones are refused, so that no thread pool fills up
PATIENCE_SECONDS = 3.0
CHECK_SECONDS = 30.0


class Keeper(Protocol):
    """Keeps a database usable: what is done, and what is said, when something happens to it."""

    def set_aside(self, path: Path, reason: str) -> object:
        """Move a damaged database away and say so."""

    def replaced(self, path: Path) -> None:
        """Say that the file was deleted or replaced while the program ran."""

    def worked(self, *, wrote: bool) -> None:
        """Note a call that worked."""

    def failed(self, problem: str, *, writing: bool) -> None:
        """Note a call that failed."""


class Connection:
    """An engine that opens again by itself.

    With a keeper, as in a running service, a database that cannot be used is no reason to stop: it is tried again at
    every call, and a damaged file is moved aside. Without one, as in a command, the first failure is the last.
    """

    def __init__(self, url: str, schema: Schema, keeper: Keeper | None = None) -> None:
        """Open it.

        Raises:
            ConfigError: The URL is not a database URL, or its driver is not installed.
            NewerStoreError: A newer version wrote it.
            StoreError: It cannot be used, and there is no keeper.
        """
        self.engine: Engine = open_engine(url)
        self._schema = schema
        self._keeper = keeper
        self._lock = threading.RLock()
        self._gate = threading.BoundedSemaphore(CALLS)
        self._is_open = False
        self._openings = 0
        self._checked = 0.0
        self._identity: tuple[int, int] | None = None
        try:
            with self._translated(writing=True):
                self._open()
        except NewerStoreError:
            raise
        except StoreError:
            if keeper is None:
                raise

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def session(self, *, writing: bool = False) -> Iterator[Session]:
        """Yield a session that is one transaction.

        Raises:
            StoreError: The database is unreachable, locked, full, damaged, or does not answer in time.
        """
        if not self._gate.acquire(timeout=PATIENCE_SECONDS):
            problem = f"the database {shown_url(self.engine.url)} failed: {CALLS} earlier calls have no answer yet"
            self._note(problem, writing=writing)
            raise StoreError(problem)
        try:
            with self._translated(writing=writing):
                self._make_ready()
                with Session(self.engine) as session, session.begin():
                    if writing and self.engine.dialect.name == "sqlite":
                        # Else the transaction begins with the first write, and what was read before may be old by then.
                        session.connection().exec_driver_sql("BEGIN IMMEDIATE")
                    yield session
        finally:
            self._gate.release()

    def _make_ready(self) -> None:
        """Open the database where it is not, or where its file is another one than before."""
        with self._lock:
            path = file_of(self.engine)
            if self._keeper and path is not None and self._is_open and _identity(path) != self._identity:
                self._keeper.replaced(path)
                self.engine.dispose()
                with contextlib.suppress(OSError):
                    path.parent.mkdir(parents=True, exist_ok=True)
                self._is_open = False
            if self._keeper and path is not None and self._is_open and time.monotonic() > self._checked + CHECK_SECONDS:
                self._check(path)
            if not self._is_open:
                self._open()

    def _open(self) -> None:
        with self._lock:
            path = file_of(self.engine)
            if self._keeper and path is not None and path.exists():
                self._check(path)
            upgrade(self.engine, self._schema)
            self._identity = _identity(path) if path is not None else None
            self._is_open = True
            self._openings += 1

    def _check(self, path: Path) -> None:
        """Look for damage before the first use and every CHECK_SECONDS, and replace a damaged file at once."""
        self._checked = time.monotonic()
        try:
            check(path)
        except DATABASE_ERRORS as error:
            if not is_damage(error):
                raise
            self._replace(path, reason_of(error))

    def _replace(self, path: Path, reason: str) -> None:
        self.engine.dispose()
        self._is_open = False
        if self._keeper is not None and path.exists():
            self._keeper.set_aside(path, reason)

    @contextmanager
    def _translated(self, *, writing: bool) -> Iterator[None]:
        """Turn every error of the database into a StoreError, and note whether it could be used."""
        opening = self._openings
        try:
            yield
        except DATABASE_ERRORS as error:
            self._react(error, opening)
            problem = f"the database {shown_url(self.engine.url)} failed: {reason_of(error)}"
            self._note(problem, writing=writing)
            raise StoreError(problem) from error
        except StoreError as error:
            self._note(str(error), writing=writing)
            raise
        if self._keeper is not None:
            self._keeper.worked(wrote=writing)

    def _react(self, error: BaseException, opening: int) -> None:
        """Replace a damaged file, unless another call has done so since this one began."""
        path = file_of(self.engine)
        with self._lock:
            if self._keeper is None or opening != self._openings:
                return
            if path is not None and is_damage(error):
                self._replace(path, reason_of(error))
            elif path is None and has_lost_its_tables(error):
                self._is_open = False

    def _note(self, problem: str, *, writing: bool) -> None:
        if self._keeper is not None:
            self._keeper.failed(problem, writing=writing)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what differs between two files of the same name; None while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
