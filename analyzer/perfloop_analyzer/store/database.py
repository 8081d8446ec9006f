"""The database: SQLite by default, PostgreSQL by URL. Every call is one transaction; SQL errors become a StoreError.

It keeps recommendations with every step of their life, findings with the time span in which they held, and the seasonal
profiles, so that a restart loses neither decisions nor what is usual on a Monday. Times are Unix seconds.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, delete, event, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from perfloop_analyzer.errors import ConfigError, NotFoundError, StoreError, TransitionError
from perfloop_analyzer.recommend.recommendation import DECIDED, STEPS, from_dict
from perfloop_analyzer.store.tables import BaselineRow, EventRow, FindingRow, RecommendationRow
from perfloop_analyzer.store.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import Engine

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend import Recommendation

EXPIRE_SECONDS = 3600.0
# How long a closed recommendation must have been absent to be reopened when its finding returns.
REOPEN_AFTER_SECONDS = {"validated": 120.0, "refuted": EXPIRE_SECONDS, "expired": 0.0}
SAME_FINDING_SECONDS = 120.0  # a finding that was absent longer than this gets a new row
KEEP_FINDINGS_SECONDS = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class PastFinding:
    """A finding's JSON form with the time span in which it held."""

    first_seen: float
    last_seen: float
    body: dict[str, Any]


class Database:
    """The analyzer's state across restarts.

    Raises:
        ConfigError: The URL is not a database URL, or its driver is not installed.
        StoreError: From every method: the database is unreachable, locked, full, or of a newer version.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        with self._translated():
            upgrade(self._engine)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def merge(self, recommendations: Sequence[Recommendation], at: float) -> tuple[Recommendation, ...]:
        """Store what a cycle recommends and return it with each one's state; expire what was absent for an hour."""
        with self._session() as session:
            rows = {row.id: row for row in session.scalars(select(RecommendationRow))}
            merged = [_merge_one(session, rows.get(one.id), one, at) for one in recommendations]
            names = {one.id for one in recommendations}
            for row in rows.values():
                if row.id not in names and row.state == "open" and at - row.seen > EXPIRE_SECONDS:
                    _step(session, row, "expire", at)
        return tuple(merged)

    def recommendations(self, state: str | None = None) -> tuple[Recommendation, ...]:
        """Return the stored recommendations, of one state if it is given, newest first."""
        query = select(RecommendationRow).order_by(RecommendationRow.updated.desc(), RecommendationRow.id)
        if state is not None:
            query = query.where(RecommendationRow.state == state)
        with self._session() as session:
            return tuple(_read(row) for row in session.scalars(query))

    def decided(self, since: float) -> tuple[Recommendation, ...]:
        """Return what was accepted, implemented or measured since a moment, newest first."""
        query = select(RecommendationRow).where(
            RecommendationRow.state.in_(DECIDED), RecommendationRow.updated >= since
        )
        with self._session() as session:
            return tuple(_read(row) for row in session.scalars(query.order_by(RecommendationRow.updated.desc())))

    def write_findings(self, findings: Sequence[Finding], at: float) -> None:
        """Extend the rows of findings that still hold, add rows for new ones, delete those older than a month."""
        keys = {_key(finding): finding for finding in findings}
        recent = select(FindingRow).where(FindingRow.last_seen >= at - SAME_FINDING_SECONDS, FindingRow.key.in_(keys))
        with self._session() as session:
            held = {row.key: row for row in session.scalars(recent)} if keys else {}
            for key, finding in keys.items():
                row = held.get(key) or _new_finding(session, key, finding, at)
                row.last_seen, row.body = at, finding.as_dict()
            session.execute(delete(FindingRow).where(FindingRow.last_seen < at - KEEP_FINDINGS_SECONDS))

    def findings(self, since: float) -> tuple[PastFinding, ...]:
        """Return the findings that held at or after `since`, newest first."""
        query = select(FindingRow).where(FindingRow.last_seen >= since).order_by(FindingRow.last_seen.desc())
        with self._session() as session:
            rows = session.scalars(query)
            return tuple(PastFinding(row.first_seen, row.last_seen, dict(row.body)) for row in rows)

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Replace the baseline of each given signal."""
        with self._session() as session:
            for signal, body in baselines.items():
                key = hashlib.sha256(signal.encode()).hexdigest()[:64]
                session.merge(BaselineRow(key=key, signal=signal[:120], updated=at, body=dict(body)))

    def baselines(self, since: float) -> dict[str, dict[str, Any]]:
        """Return the baselines, by signal, that were written at or after `since`."""
        query = select(BaselineRow).where(BaselineRow.updated >= since)
        with self._session() as session:
            return {row.signal: dict(row.body) for row in session.scalars(query)}

    def events(self, identifier: str) -> tuple[dict[str, Any], ...]:
        """Return every step in the life of a recommendation, oldest first."""
        query = select(EventRow).where(EventRow.recommendation == identifier).order_by(EventRow.number)
        with self._session() as session:
            return tuple({"at": one.at, "step": one.step, "state": one.state} for one in session.scalars(query))

    def transition(self, identifier: str, step: str, at: float) -> Recommendation:
        """Move one recommendation on in its life and return it.

        Raises:
            NotFoundError: There is none of that id.
            TransitionError: Its state does not allow the step.
        """
        with self._session() as session:
            row = session.get(RecommendationRow, identifier)
            if row is None:
                raise NotFoundError(f"no recommendation has the id '{identifier}'")
            allowed, _ = STEPS[step]
            if row.state not in allowed:
                states = ", ".join(sorted(allowed))
                raise TransitionError(
                    f"recommendation '{identifier}' is {row.state}: {step} needs one that is {states}"
                )
            if step == "implement":
                _note(row, "stood_until", row.seen)
            _step(session, row, step, at)
            return _read(row)

    def conclude(self, identifier: str, step: str, measured: Mapping[str, Any], at: float) -> None:
        """Record the measured effect of an implemented recommendation; in another state nothing happens."""
        with self._session() as session:
            row = session.get(RecommendationRow, identifier)
            if row is not None and row.state in STEPS[step][0]:
                _note(row, "measured", dict(measured))
                _step(session, row, step, at)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._translated(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StoreError(f"the database {self._engine.url!r} failed: {reason}") from error


def _merge_one(
    session: Session, row: RecommendationRow | None, recommendation: Recommendation, at: float
) -> Recommendation:
    body: dict[str, Any] = recommendation.as_dict()
    if row is None:
        row = RecommendationRow(id=recommendation.id, state="open", created=at, updated=at, seen=at, body=body)
        session.add(row)
        session.flush()
        session.add(EventRow(recommendation=recommendation.id, at=at, step="open", state="open"))
        return _read(row)
    is_back = at - row.seen > REOPEN_AFTER_SECONDS.get(row.state, float("inf"))
    row.seen = at
    # What people decided on keeps the evidence that they saw.
    if row.state == "open" or is_back:
        row.body = body
    if is_back:
        _step(session, row, "reopen", at)
    return _read(row)


def _new_finding(session: Session, key: str, finding: Finding, at: float) -> FindingRow:
    row = FindingRow(
        key=key,
        service=finding.service[:120],
        signal=finding.signal[:120],
        detector=finding.detector,
        first_seen=min(finding.onset, at),
        last_seen=at,
        body=finding.as_dict(),
    )
    session.add(row)
    return row


def _key(finding: Finding) -> str:
    """Return the same key for the same series, signal and detector."""
    text = repr((finding.service, finding.signal, finding.detector, sorted(finding.labels.items())))
    return hashlib.sha256(text.encode()).hexdigest()[:64]


def _note(row: RecommendationRow, name: str, value: object) -> None:
    """Store one more of a recommendation's values."""
    values = row.body.get("values")
    row.body = row.body | {"values": (values if isinstance(values, dict) else {}) | {name: value}}


def _step(session: Session, row: RecommendationRow, step: str, at: float) -> None:
    row.state = STEPS[step][1]
    row.updated = at
    session.add(EventRow(recommendation=row.id, at=at, step=step, state=row.state))


def _read(row: RecommendationRow) -> Recommendation:
    return replace(from_dict(row.body), state=row.state, created=row.created, updated=row.updated)


def _engine(url: str) -> Engine:
    try:
        if url in {"sqlite://", "sqlite:///:memory:"}:
            return create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        engine = create_engine(url, pool_pre_ping=True)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise ConfigError(f"--store.url has value '{url}', which is not a database URL: {error}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    """Set pragmas: a write-ahead log with full sync survives SIGKILL at any moment; a lock is waited for 2 s."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=2000")
