"""The store of runs: SQLite in the home directory by default, PostgreSQL by URL. Every call is one transaction."""

from __future__ import annotations

import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from perfloop_base.database.connection import Connection
from perfloop_base.database.upgrade import Schema
from perfloop_base.errors import ConfigError, StoreError
from perfloop_base.visible import brief
from perfloop_loadgen.store import rows
from perfloop_loadgen.store.keeper import LoudKeeper
from perfloop_loadgen.store.location import directory, make_directory, path_of, standing_url, turn
from perfloop_loadgen.store.references import FORMS, checked_name, parse_reference
from perfloop_loadgen.store.stored import Baseline, StoredRun
from perfloop_loadgen.store.tables import BaselineRow, LabelRow, RunRow
from perfloop_loadgen.summary.document import Document, parse_document, to_compact_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.orm import Session

SCHEMA = Schema(Path(__file__).parent / "migrations", lock=715_002, versions="load_test_version")
_DAY = 86_400.0
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Retention:
    """Which runs are kept; the newest of each test and those of baselines always are. 0 stands for no limit."""

    days: float = 365.0
    runs: int = 2000

    @classmethod
    def everything(cls) -> Retention:
        """Return the one by which nothing is deleted: of commands that have no flags for it."""
        return cls(days=0.0, runs=0)


class RunStore:
    """Runs, their documents, and baselines.

    Args:
        url: A SQLAlchemy database URL; left out: what the environment names, else a file in the home directory.
        repair: Whether a damaged file is moved aside and begun again, as at the end of a run; else it is an error.
        retention: What is deleted when a run is saved.

    Raises:
        ConfigError: The URL is not a database URL, or its driver is not installed.
        StoreError: From every method: the database is unreachable, locked, full, damaged, or of a newer version.
    """

    def __init__(self, url: str = "", *, repair: bool = False, retention: Retention | None = None) -> None:
        self._url = url or standing_url()
        self._path = path_of(self._url)
        self._keeper = LoudKeeper() if repair else None
        self._retention = retention or Retention()
        with turn(self._path):
            self._connection = Connection(self._url, SCHEMA, self._keeper)

    @property
    def url(self) -> str:
        """Return the database's URL, which may hold a password."""
        return self._url

    def close(self) -> None:
        """Close every connection."""
        self._connection.close()

    def save(self, document: Document) -> StoredRun:
        """Store a run with everything that is known about it, and delete what is no longer kept.

        A run of the same id is replaced.
        """
        run, packed = StoredRun.of(document), zlib.compress(to_compact_json(document))
        moved = self._moved
        try:
            self._save(run, packed)
        except StoreError:
            if self._moved == moved:
                raise
            self._save(run, packed)  # in the file that was begun again
        return run

    def has(self, run_id: str) -> bool:
        """Return whether a run is stored."""
        with self._connection.session() as session:
            return session.scalar(select(RunRow.run_id).where(RunRow.run_id == run_id)) is not None

    def get(self, run_id: str) -> Document:
        """Return the document of a run by its whole id.

        Raises:
            ConfigError: no such run is stored.
        """
        query = select(RunRow.document).where(RunRow.run_id == run_id)
        with self._connection.session() as session:
            packed = session.scalar(query)
        if packed is None:
            raise ConfigError(f"no run {brief(run_id)} is stored")
        try:
            return parse_document(zlib.decompress(packed), f"the stored run {run_id}")
        except (zlib.error, ConfigError) as error:
            raise StoreError(f"the stored run {run_id} cannot be read: {error}") from error

    def runs(
        self, test: str | None = None, labels: Mapping[str, str] | None = None, limit: int | None = None
    ) -> list[StoredRun]:
        """Return the stored runs, the newest first.

        Args:
            test: Of this test alone.
            labels: With all of these labels.
            limit: At most so many.
        """
        query = rows.newest_first(test, labels or {}).limit(limit)
        with self._connection.session() as session:
            return rows.read(session, session.scalars(query).all())

    def find(self, reference: str, test: str | None = None) -> list[StoredRun]:
        """Return what a reference names: one run, or all runs of a baseline in the order in which they were set.

        Args:
            reference: An id, the beginning of one, `latest`, `latest~1`, or `baseline:NAME`.
            test: Among the runs of this test alone.

        Raises:
            ConfigError: it names nothing, or several runs.
        """
        meant = parse_reference(reference)
        with self._connection.session() as session:
            if meant.baseline:
                query = rows.of_baseline(meant.baseline, test)
            elif meant.back is not None:
                query = rows.newest_first(test, {}).offset(meant.back).limit(1)
            else:
                beginning = RunRow.run_id.startswith(meant.beginning, autoescape=True)
                query = rows.newest_first(test, {}).where(beginning).limit(_SHOWN + 1)
            found = rows.read(session, session.scalars(query).all())
        exact = [run for run in found if run.run_id == meant.beginning]
        if exact:
            return exact
        if not found:
            raise ConfigError(self._nothing(reference, test))
        if meant.beginning and len(found) > 1:
            shown = ", ".join(run.run_id for run in found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
            raise ConfigError(f"{reference} is the beginning of several runs: {shown}")
        return found

    def documents(self, reference: str, test: str | None = None) -> list[Document]:
        """Return the documents of what a reference names.

        Raises:
            ConfigError: it names nothing, or several runs.
        """
        return [self.get(run.run_id) for run in self.find(reference, test)]

    def baseline(self, name: str, test: str | None = None) -> list[Document]:
        """Return the documents of a baseline's runs, of one test if it is given; none where it is not set."""
        with self._connection.session() as session:
            found = [row.run_id for row in session.scalars(rows.of_baseline(name, test))]
        return [self.get(run_id) for run_id in found]

    def set_baseline(self, name: str, run_ids: Sequence[str]) -> list[Baseline]:
        """Name runs a baseline; they take the place of the name's earlier runs of the same tests.

        Raises:
            ConfigError: the name cannot be one, a run is not stored, or cannot be compared with; every problem is said.
        """
        checked_name(name)
        with self._writing() as session:
            query = select(RunRow).where(RunRow.run_id.in_(run_ids))
            known = {run.run_id: run for run in rows.read(session, session.scalars(query).all())}
            problems = [_obstacle(run_id, known.get(run_id)) for run_id in run_ids]
            if any(problems):
                raise ConfigError([problem for problem in problems if problem])
            tests = {run.test for run in known.values()}
            session.execute(delete(BaselineRow).where(BaselineRow.name == name, BaselineRow.test.in_(tests)))
            now = time.time()
            session.add_all(
                BaselineRow(name=name, run_id=run_id, test=known[run_id].test, position=position, set_at=now)
                for position, run_id in enumerate(dict.fromkeys(run_ids))
            )
        return [one for one in self.baselines() if one.name == name and one.test in tests]

    def baselines(self) -> list[Baseline]:
        """Return every baseline, by name and test."""
        query = select(BaselineRow).order_by(BaselineRow.name, BaselineRow.test, BaselineRow.position)
        with self._connection.session() as session:
            return rows.read_baselines(session.scalars(query))

    def remove_baseline(self, name: str) -> None:
        """Forget a baseline of all tests; its runs stay.

        Raises:
            ConfigError: there is none of that name.
        """
        with self._writing() as session:
            held = session.scalars(select(BaselineRow).where(BaselineRow.name == name)).all()
            if not held:
                raise ConfigError(f"there is no baseline {brief(name)}: `perfloop loadgen baseline list` shows them")
            for row in held:
                session.delete(row)

    def prune(self, now: float) -> int:
        """Delete the runs that are no longer kept, and return how many; `now` is in Unix seconds."""
        with self._writing() as session:
            return self._prune(session, now)

    @property
    def _moved(self) -> int:
        return self._keeper.moved if self._keeper is not None else 0

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with turn(self._path), self._connection.session(writing=True) as session:
            yield session

    def _save(self, run: StoredRun, packed: bytes) -> None:
        with self._writing() as session:
            rows.write(session, run, packed)
            self._prune(session, time.time())

    def _prune(self, session: Session, now: float) -> int:
        oldest = now - self._retention.days * _DAY if self._retention.days else None
        gone = rows.outlived(session, oldest, self._retention.runs or None)
        for kind in (LabelRow, RunRow):
            for start in range(0, len(gone), rows.AT_ONCE):
                session.execute(delete(kind).where(kind.run_id.in_(gone[start : start + rows.AT_ONCE])))
        return len(gone)

    def _nothing(self, reference: str, test: str | None) -> str:
        of_test = f" of the test {brief(test)}" if test is not None else ""
        return (
            f"{brief(reference)} names no stored run{of_test}: `perfloop loadgen runs` lists them "
            f"(a run is named by {FORMS})"
        )


def open_for_writing(url: str, retention: Retention | None = None) -> RunStore:
    """Open the store to save runs: the home directory is made, and a damaged file is begun again.

    Raises:
        ConfigError: the URL is not a database URL, or the home is a directory that all users share.
        NewerStoreError: a newer version wrote the database.
        OSError: the home cannot be made.
    """
    path = path_of(url)
    if path is not None and path.parent == directory():
        make_directory()
    return RunStore(url, repair=True, retention=retention)


def _obstacle(run_id: str, run: StoredRun | None) -> str:
    """Return why a run cannot be a baseline, or nothing."""
    if run is None:
        return f"no run {brief(run_id)} is stored"
    if run.is_usable:
        return ""
    return f"the run {run_id} was {run.how}: nothing can be compared with it"
