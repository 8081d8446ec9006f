"""Scheduled reports in the database: each is made by one analyzer, once, and kept for a while.

A report's id is its name and the moment at which it was due. Whoever inserts that row makes the report, and holds it
for LEASE_SECONDS; after a kill another one takes it over when that time is over. What a channel took is written down
at once, so that a retry sends to the others alone. Moments are Unix seconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from perfloop_analyzer.store.tables import ReportRow, ReportScheduleRow
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from perfloop_base.database.connection import Connection

LEASE_SECONDS = 600.0  # far more than making and sending one takes, as each step of it is bounded
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 30.0, 3600.0
_LONGEST_PROBLEM, _LONGEST_TITLE = 500, 200
MAKING, SENT, FAILED = "making", "sent", "failed"


@dataclass(frozen=True, slots=True)
class ReportTexts:
    """A report as it is kept: its HTML without the head of a page, its Markdown, and its JSON form."""

    title: str = ""
    body: str = ""
    markdown: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What became of one report that was due.

    Attributes:
        state: `making`, `sent` or `failed`.
        finished: When every channel had taken it; None before.
        problem: Why the newest attempt failed; empty where none did.
        delivered: When each channel took it.
    """

    id: str
    name: str
    kind: str
    due: float
    state: str
    attempts: int
    finished: float | None
    problem: str
    delivered: Mapping[str, float]
    title: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__slots__} | {"delivered": dict(self.delivered)}


def identify(name: str, due: float) -> str:
    """Return the id of a report that is due at a moment, to the second."""
    return f"{name}-{datetime.fromtimestamp(due, UTC):%Y%m%dT%H%M%SZ}"


class ReportBook:
    """The reports of one database.

    Raises:
        StoreError: From every method: the database is unreachable, locked, full, or of a newer version.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def since(self, name: str, schedule: str, at: float) -> float:
        """Return since when a report has this schedule, `at` where it is new; what was due before is not owed."""
        key = schedule if len(schedule) <= 300 else hashlib.sha256(schedule.encode()).hexdigest()  # noqa: PLR2004 - the column
        with self._connection.session(writing=True) as session:
            _insert(session, ReportScheduleRow, {"name": name, "schedule": key, "since": at})
            row = session.get_one(ReportScheduleRow, name, with_for_update=True)
            # A clock that was ahead when the report was first seen must not keep it waiting.
            if row.schedule != key or row.since > at:
                row.schedule, row.since = key, at
            return row.since

    def claim(self, name: str, kind: str, due: float, owner: str, at: float) -> StoredReport | None:
        """Take a report that is due; None where it is sent, in somebody's hands, or to be tried again later."""
        new = {"id": identify(name, due), "name": name, "kind": kind, "due": due, "state": MAKING}
        new |= {"owner": owner, "lease": at + LEASE_SECONDS, "retry": at, "attempts": 0, "finished": None}
        new |= {"problem": "", "delivered": {}, "title": "", "body": "", "markdown": "", "document": {}}
        with self._connection.session(writing=True) as session:
            _insert(session, ReportRow, new)
            row = session.get_one(ReportRow, new["id"], with_for_update=True)
            if row.state == SENT or not _is_free(row, owner, at):
                return None
            row.state, row.owner, row.lease, row.attempts = MAKING, owner, at + LEASE_SECONDS, row.attempts + 1
            return _read(row)

    def holds(self, identifier: str, owner: str, at: float) -> bool:
        """Return whether a report is still in these hands, and hold it for another LEASE_SECONDS."""
        with self._connection.session(writing=True) as session:
            row = session.get(ReportRow, identifier, with_for_update=True)
            if row is None or row.owner != owner or row.state != MAKING:
                return False
            row.lease = at + LEASE_SECONDS
            return True

    def keep(self, identifier: str, texts: ReportTexts) -> None:
        """Keep a report that was made; one that was kept before is sent as it was."""
        with self._connection.session(writing=True) as session:
            row = session.get_one(ReportRow, identifier)
            row.title = visible(texts.title)[:_LONGEST_TITLE]
            row.body, row.markdown, row.document = texts.body, texts.markdown, dict(texts.document)

    def texts(self, identifier: str) -> ReportTexts | None:
        """Return a report that was made; None where there is none of that id, or it is not made yet."""
        with self._connection.session() as session:
            row = session.get(ReportRow, identifier)
            if row is None or not row.body:
                return None
            return ReportTexts(row.title, row.body, row.markdown, dict(row.document))

    def delivered(self, identifier: str, channel: str, at: float) -> None:
        """Note that a channel took it."""
        with self._connection.session(writing=True) as session:
            row = session.get_one(ReportRow, identifier, with_for_update=True)
            row.delivered = {**row.delivered, channel: at}

    def finish(self, identifier: str, at: float) -> None:
        """Note that every channel took it."""
        with self._connection.session(writing=True) as session:
            row = session.get_one(ReportRow, identifier, with_for_update=True)
            row.state, row.finished, row.problem = SENT, at, ""

    def fail(self, identifier: str, problem: str, at: float) -> None:
        """Note that an attempt failed, and when the next one may be made: the wait doubles each time."""
        with self._connection.session(writing=True) as session:
            row = session.get_one(ReportRow, identifier, with_for_update=True)
            wait = min(FIRST_RETRY_SECONDS * 2.0 ** min(row.attempts - 1, 20), LONGEST_RETRY_SECONDS)
            row.state, row.problem, row.retry = FAILED, visible(problem)[:_LONGEST_PROBLEM], at + wait

    def listed(self, name: str | None = None) -> tuple[StoredReport, ...]:
        """Return what became of every report, or of those of one name, the newest first."""
        query = select(ReportRow).order_by(ReportRow.due.desc(), ReportRow.id)
        if name is not None:
            query = query.where(ReportRow.name == name)
        with self._connection.session() as session:
            return tuple(_read(row) for row in session.scalars(query))

    def find(self, identifier: str) -> StoredReport | None:
        """Return one of them; None where there is none of that id."""
        with self._connection.session() as session:
            row = session.get(ReportRow, identifier)
            return _read(row) if row else None

    def prune(self, name: str, keep: int) -> None:
        """Delete all but the newest reports of one name."""
        with self._connection.session(writing=True) as session:
            query = select(ReportRow.id).where(ReportRow.name == name).order_by(ReportRow.due.desc()).offset(keep)
            old = list(session.scalars(query.limit(1000)))
            session.execute(delete(ReportRow).where(ReportRow.id.in_(old)))


def _insert(session: Session, table: type[ReportRow | ReportScheduleRow], values: Mapping[str, Any]) -> None:
    """Insert a row unless there is one: of two that insert it at the same time, one does."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert(table) if is_postgresql else sqlite.insert(table)
    session.execute(insert.values(**values).on_conflict_do_nothing())


def _is_free(row: ReportRow, owner: str, at: float) -> bool:
    """Return whether a report may be taken; after a clock was set back no wait is longer than it was meant to be."""
    if row.state == FAILED:
        return not 0 < row.retry - at <= LONGEST_RETRY_SECONDS
    return row.attempts == 0 or row.owner == owner or not 0 < row.lease - at <= LEASE_SECONDS


def _read(row: ReportRow) -> StoredReport:
    return StoredReport(
        row.id,
        row.name,
        row.kind,
        row.due,
        row.state,
        row.attempts,
        row.finished,
        row.problem,
        dict(row.delivered),
        row.title,
    )
