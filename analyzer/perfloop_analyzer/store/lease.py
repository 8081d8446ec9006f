"""The lease in the database: taken and prolonged by one statement each, and asked for by every write of a cycle."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from perfloop_analyzer.errors import LeaseLostError
from perfloop_analyzer.lease import Holding, Member
from perfloop_analyzer.store.tables import LeaseRow, MemberRow
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session

    from perfloop_analyzer.lease import Claim, Fence

PUBLISH = "publish"
LONGEST_PLACE = 200
NOT_HELD = "nothing was written: another analyzer has the lease of this database, or nobody has"


class Sessions(Protocol):
    """Something that gives transactions on a database."""

    @property
    def engine(self) -> Engine:
        """The engine that they run on."""

    def close(self) -> None:
        """Close every connection."""

    def session(self, *, writing: bool = False) -> AbstractContextManager[Session]:
        """Yield a session that is one transaction."""


class Fenced:
    """Transactions that write only while the lease is held: it is looked at within each of them.

    In PostgreSQL the row stays locked until the transaction ends, so that nobody takes the lease in the middle of it;
    SQLite has one writer at a time anyway.
    """

    def __init__(self, sessions: Sessions, fence: Fence) -> None:
        self._sessions = sessions
        self._fence = fence

    @property
    def engine(self) -> Engine:
        """The engine that they run on."""
        return self._sessions.engine

    def close(self) -> None:
        """Close every connection."""
        self._sessions.close()

    @contextmanager
    def session(self, *, writing: bool = False) -> Iterator[Session]:
        """Yield a session that is one transaction.

        Raises:
            LeaseLostError: It was to write, and the lease is not held.
            StoreError: The database cannot be used.
        """
        claim = self._fence.claim if writing else None
        # The error is raised outside of the transaction: the database itself can be used.
        with self._sessions.session(writing=writing) as session:
            if claim is None or _holds(session, claim):
                yield session
                return
        raise LeaseLostError(NOT_HELD)


def _holds(session: Session, claim: Claim) -> bool:
    query = select(LeaseRow.holder, LeaseRow.term).where(LeaseRow.name == PUBLISH).with_for_update(read=True)
    row = session.execute(query).one_or_none()
    return row is not None and claim.term > 0 and tuple(row) == (claim.holder, claim.term)


class LeaseBook:
    """The lease of one database, and the analyzers that wait for it.

    Raises:
        StoreError: From every method: the database is unreachable, locked, full, or of a newer version.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def read(self) -> Holding:
        """Return who has the lease."""
        with self._sessions.session() as session:
            row = session.get(LeaseRow, PUBLISH)
            if row is None:
                return Holding()
            return Holding(row.lease, row.holder, row.term, row.beat, row.process, row.place)

    def take(self, seen: Holding, me: Member, least_term: int) -> int | None:
        """Take the lease that was seen, and return its term, above `least_term`; None where somebody was faster."""
        new = {"holder": me.id, "term": least_term + 1, "beat": 1, "process": me.process, "place": _place(me)}
        nobody = {
            "name": PUBLISH,
            "lease": secrets.token_hex(4),
            "holder": "",
            "term": 0,
            "beat": 0,
            "process": "",
            "place": "",
        }
        with self._sessions.session(writing=True) as session:
            _insert(session, LeaseRow, nobody)
            mine = (LeaseRow.name == PUBLISH, LeaseRow.holder == seen.holder, LeaseRow.term == seen.term)
            took = _changed(session, update(LeaseRow).where(*mine, LeaseRow.beat == seen.beat).values(new))
            session.execute(delete(MemberRow).where(MemberRow.id == me.id))
            return least_term + 1 if took else None

    def renew(self, me: Member, term: int) -> list[Member] | None:
        """Prolong the lease and return who waits for it; None where it is not held any more."""
        mine = (LeaseRow.name == PUBLISH, LeaseRow.holder == me.id, LeaseRow.term == term)
        with self._sessions.session(writing=True) as session:
            if not _changed(session, update(LeaseRow).where(*mine).values(beat=LeaseRow.beat + 1)):
                return None
            return [Member(row.id, row.process, row.place, row.beat) for row in session.scalars(select(MemberRow))]

    def attend(self, me: Member) -> None:
        """Say that an analyzer waits for the lease."""
        with self._sessions.session(writing=True) as session:
            session.merge(MemberRow(id=me.id, process=me.process, place=_place(me), beat=me.beat))

    def forget(self, ids: Sequence[str]) -> None:
        """Delete analyzers that wait no longer."""
        with self._sessions.session(writing=True) as session:
            session.execute(delete(MemberRow).where(MemberRow.id.in_(ids)))

    def leave(self, me: Member) -> None:
        """Give the lease back, where it is held, and wait for it no longer."""
        with self._sessions.session(writing=True) as session:
            session.execute(delete(MemberRow).where(MemberRow.id == me.id))
            session.execute(update(LeaseRow).where(LeaseRow.holder == me.id).values(holder="", process="", place=""))


def _changed(session: Session, statement: Any) -> bool:
    result = session.execute(statement)
    return isinstance(result, CursorResult) and result.rowcount == 1


def _place(member: Member) -> str:
    return visible(member.place)[:LONGEST_PLACE]


def _insert(session: Session, table: type[LeaseRow], values: dict[str, Any]) -> None:
    """Insert a row unless there is one: of two that insert it at the same time, one does."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert(table) if is_postgresql else sqlite.insert(table)
    session.execute(insert.values(**values).on_conflict_do_nothing())
