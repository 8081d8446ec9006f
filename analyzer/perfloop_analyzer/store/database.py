"""The database: SQLite by default, PostgreSQL by URL. Every call is one transaction; SQL errors become a StoreError.

It keeps recommendations with every step of their life, findings with the time span in which they held, open episodes
and incidents, recorded changes, and the seasonal profiles, so that a restart loses neither decisions nor starts, nor
what is usual on a Monday. Times are Unix seconds.
"""

from __future__ import annotations

import hashlib
import logging
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from perfloop_analyzer.changes import MOST, Change, implemented
from perfloop_analyzer.errors import NotFoundError, TransitionError
from perfloop_analyzer.identifiers import IDENTIFIER
from perfloop_analyzer.planning.costs.progress import Baseline
from perfloop_analyzer.recommend.money import GIVEN_EFFORT, MEASURED_SAVING
from perfloop_analyzer.recommend.recommendation import (
    DECIDED,
    EFFORT_STEPS,
    HEALED_SECONDS,
    STEPS,
    by_urgency,
    from_dict,
    healed_values,
)
from perfloop_analyzer.store.lease import Fenced, LeaseBook
from perfloop_analyzer.store.reports import ReportBook
from perfloop_analyzer.store.standing import read_memory, write_memory
from perfloop_analyzer.store.tables import (
    BaselineRow,
    ChangeRow,
    CostBaselineRow,
    EventRow,
    FindingRow,
    RecommendationRow,
)
from perfloop_analyzer.waste import WASTE
from perfloop_base.database.connection import Connection
from perfloop_base.database.upgrade import Schema
from perfloop_base.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Engine
    from sqlalchemy.orm import Session

    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.incidents import Memory
    from perfloop_analyzer.lease import Fence
    from perfloop_analyzer.recommend import Recommendation
    from perfloop_analyzer.store.keeper import Keeper
    from perfloop_analyzer.store.lease import Sessions

log = logging.getLogger("analyzer.store")

SCHEMA = Schema(Path(__file__).parent / "migrations", lock=715_001)

HOUR_SECONDS = 3600.0
# How long a closed recommendation must have been absent to be reopened when its finding returns.
REOPEN_AFTER_SECONDS = {
    "validated": 120.0,
    "healed": 120.0,
    "refuted": HOUR_SECONDS,
    "confounded": HOUR_SECONDS,
    "inconclusive": HOUR_SECONDS,
    "expired": 0.0,
}
SAME_FINDING_SECONDS = 120.0  # a finding that was absent longer than this gets a new row
KEEP_FINDINGS_SECONDS = 30 * 86_400.0
LONGEST_SHOWN = 160
MOST_PROOFS = 50  # whose times are kept of one recommendation
LONGEST_COLUMN = 120
LONGEST_TITLE = 200
SHOWN_OF_FINDINGS = ("title", "detector", "service", "component", "severity")


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

    def __init__(self, url: str, keeper: Keeper | None = None) -> None:
        """Open it; with a keeper one that cannot be used is tried again at every call."""
        self._connection: Sessions = Connection(url, SCHEMA, keeper)
        self.reports = ReportBook(self._connection)
        self.lease = LeaseBook(self._connection)

    @property
    def _engine(self) -> Engine:
        return self._connection.engine

    def close(self) -> None:
        """Close every connection."""
        self._connection.close()

    @property
    def is_file(self) -> bool:
        """Whether it is a file of this machine, and no server."""
        return self._engine.dialect.name == "sqlite"

    def fenced(self, fence: Fence) -> Database:
        """Return the same database for an analysis, which writes only while its analyzer has the lease."""
        own = copy(self)
        own._connection = Fenced(self._connection, fence)  # noqa: SLF001 - it is one of these
        return own

    def merge(
        self, recommendations: Sequence[Recommendation], at: float, watched: float | None = None
    ) -> tuple[Recommendation, ...]:
        """Store what a cycle recommends and return it with each one's state; what was absent healed by itself.

        Args:
            recommendations: Those of the cycle.
            at: The moment in Unix seconds.
            watched: For how many seconds since the last call the analyzer looked; absence is counted in these, so that
                neither a clock that jumps nor a night switched off heals anything. None takes the clock.
        """
        with self._connection.session(writing=True) as session:
            rows = {row.id: row for row in session.scalars(select(RecommendationRow).with_for_update())}
            for row in rows.values():
                row.absent = at - row.seen if watched is None else row.absent + watched
            merged = [_merge_one(session, rows.get(one.id), one, at) for one in recommendations]
            names = {one.id for one in recommendations}
            for row in rows.values():
                if row.id not in names and row.state == "open" and row.absent > HEALED_SECONDS:
                    for name, value in healed_values(row.seen).items():
                        _note(row, name, value)
                    _step(session, row, "heal", at)
        return tuple(merged)

    def recommendations(self, state: str | None = None) -> tuple[Recommendation, ...]:
        """Return the stored recommendations, of one state if it is given, the most urgent first."""
        query = select(RecommendationRow)
        if state is not None:
            query = query.where(RecommendationRow.state == state)
        with self._connection.session() as session:
            return by_urgency(_readable(session.scalars(query)))

    def decided(self, since: float) -> tuple[Recommendation, ...]:
        """Return what was accepted, implemented or measured since a moment, the most urgent first."""
        query = select(RecommendationRow).where(
            RecommendationRow.state.in_(DECIDED), RecommendationRow.updated >= since
        )
        with self._connection.session() as session:
            found = by_urgency(_readable(session.scalars(query)))
        # Nobody decided on what ended by itself: it is news for an hour.
        latest = max((one.updated for one in found), default=0.0)
        return tuple(one for one in found if not one.healed_by_itself or one.updated > latest - HOUR_SECONDS)

    def write_findings(self, findings: Sequence[Finding], at: float) -> None:
        """Extend the rows of findings that still hold, add rows for new ones, delete those older than a month."""
        keys = {_key(finding): finding for finding in findings}
        # One that began before the row's end has gone on since, though nobody looked in between.
        since = min((at - SAME_FINDING_SECONDS, *(finding.onset for finding in findings)))
        recent = select(FindingRow).where(FindingRow.last_seen >= since, FindingRow.key.in_(keys))
        with self._connection.session(writing=True) as session:
            rows = session.scalars(recent.order_by(FindingRow.last_seen)) if keys else ()
            held = {row.key: row for row in rows}
            for key, finding in keys.items():
                row = held.get(key)
                if row is None or row.last_seen < min(at - SAME_FINDING_SECONDS, finding.onset):
                    row = _new_finding(session, key, finding, at)
                # After a clock was set back a span must not end before it begins.
                row.last_seen, row.body = max(at, row.first_seen), finding.as_dict()
            session.execute(delete(FindingRow).where(FindingRow.last_seen < at - KEEP_FINDINGS_SECONDS))

    def findings(self, since: float) -> tuple[PastFinding, ...]:
        """Return the findings that held at or after `since`, newest first."""
        query = select(FindingRow).where(FindingRow.last_seen >= since).order_by(FindingRow.last_seen.desc())
        with self._connection.session() as session:
            rows = session.scalars(query)
            return tuple(
                PastFinding(row.first_seen, row.last_seen, dict(row.body)) for row in rows if _is_finding(row.body)
            )

    def memory(self) -> Memory:
        """Return the open episodes and incidents, as the last cycle left them."""
        with self._connection.session() as session:
            return read_memory(session)

    def write_memory(self, memory: Memory) -> None:
        """Replace the open episodes and incidents."""
        with self._connection.session(writing=True) as session:
            write_memory(session, memory)

    def changes(self, since: float) -> tuple[Change, ...]:
        """Return at most MOST changes that were made since a moment, newest first."""
        query = select(ChangeRow).where(ChangeRow.at >= since).order_by(ChangeRow.at.desc(), ChangeRow.id).limit(MOST)
        with self._connection.session() as session:
            return tuple(Change(row.id, row.at, row.service, row.kind, row.title) for row in session.scalars(query))

    def record_change(self, change: Change) -> None:
        """Record a change, once; delete those that nobody is shown any more."""
        with self._connection.session(writing=True) as session:
            _record(session, change)
            session.execute(delete(ChangeRow).where(ChangeRow.at < change.at - KEEP_FINDINGS_SECONDS))

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Replace the baseline of each given signal."""
        with self._connection.session(writing=True) as session:
            for signal, body in baselines.items():
                key = hashlib.sha256(signal.encode()).hexdigest()[:64]
                session.merge(BaselineRow(key=key, signal=signal[:LONGEST_COLUMN], updated=at, body=dict(body)))

    def baselines(self, since: float) -> dict[str, dict[str, Any]]:
        """Return the baselines, by signal, that were written at or after `since`."""
        query = select(BaselineRow).where(BaselineRow.updated >= since)
        with self._connection.session() as session:
            return {row.signal: dict(row.body) for row in session.scalars(query) if isinstance(row.body, dict)}

    def first_accepted(self) -> float | None:
        """Return when a recommendation was first accepted or implemented, in Unix seconds; None before."""
        with self._connection.session() as session:
            return session.scalar(select(func.min(EventRow.at)).where(EventRow.step.in_(EFFORT_STEPS)))

    def cost_baseline(self, since: float, currency: str) -> Baseline | None:
        """Return the cost of an hour with which later costs are compared, of a moment that was asked for."""
        with self._connection.session() as session:
            row = session.get(CostBaselineRow, (since, currency))
            return None if row is None else Baseline(row.since, row.at, row.currency, row.per_hour)

    def write_cost_baseline(self, baseline: Baseline) -> None:
        """Keep the cost of an hour with which later costs are compared."""
        with self._connection.session(writing=True) as session:
            session.merge(
                CostBaselineRow(
                    since=baseline.since, currency=baseline.currency, at=baseline.at, per_hour=baseline.per_hour
                )
            )

    def note_saving(self, identifier: str, saved: Mapping[str, Any]) -> None:
        """Keep what a recommendation was measured to save in a month, where it is still stored."""
        with self._connection.session(writing=True) as session:
            row = session.get(RecommendationRow, identifier, with_for_update=True)
            if row is not None:
                _note(row, MEASURED_SAVING, dict(saved))

    def events(self, identifier: str) -> tuple[dict[str, Any], ...]:
        """Return every step in the life of a recommendation, oldest first."""
        query = select(EventRow).where(EventRow.recommendation == identifier).order_by(EventRow.number)
        with self._connection.session() as session:
            return tuple({"at": one.at, "step": one.step, "state": one.state} for one in session.scalars(query))

    def transition(self, identifier: str, step: str, at: float, effort_hours: float | None = None) -> Recommendation:
        """Move one recommendation on in its life and return it; `effort_hours` is the work that a person expects of it.

        Raises:
            NotFoundError: There is none of that id.
            TransitionError: Its state does not allow the step.
        """
        with self._connection.session(writing=True) as session:
            row = _find(session, identifier)
            allowed, _ = STEPS[step]
            if row.state not in allowed:
                states = ", ".join(sorted(allowed))
                raise TransitionError(
                    f"recommendation '{identifier}' is {row.state}: {step} needs one that is {states}"
                )
            if effort_hours is not None:
                _note(row, GIVEN_EFFORT, effort_hours)
            if step == "implement":
                _note(row, "stood_until", row.seen)
                _note(row, "by_itself", False)  # noqa: FBT003 - a value to store
            _step(session, row, step, at)
            moved = _read(row)
            if step == "implement":
                _record(session, implemented(moved.id, moved.service, moved.title, at))
            return moved

    def record_proof(self, identifier: str, proof: Mapping[str, Any], at: float) -> Recommendation:
        """Keep the outcome of a proof, in any state, and return the recommendation.

        Raises:
            NotFoundError: There is none of that id.
        """
        with self._connection.session(writing=True) as session:
            row = _find(session, identifier)
            expected = row.body.get("improvement") if isinstance(row.body, dict) else None
            earlier = _read(row).proof_spans[-MOST_PROOFS:]
            _note(row, "proved", {**proof, "at": at, "expected": expected, "earlier": [list(one) for one in earlier]})
            session.add(EventRow(recommendation=row.id, at=at, step="prove", state=row.state))
            return _read(row)

    def conclude(
        self, identifier: str, step: str, measured: Mapping[str, Any] | None, at: float, reason: str = ""
    ) -> None:
        """Record the measured effect of an implemented recommendation, and why it ended so; in no other state."""
        with self._connection.session(writing=True) as session:
            row = session.get(RecommendationRow, identifier, with_for_update=True)
            if row is not None and row.state == "implemented":
                if measured is not None:
                    _note(row, "measured", dict(measured))
                _note(row, "reason", reason)
                _step(session, row, step, at)


def _find(session: Session, identifier: str) -> RecommendationRow:
    # Locked until the end: of two people who decide at the same time, the second one sees what the first one did.
    row = session.get(RecommendationRow, identifier, with_for_update=True) if IDENTIFIER.fullmatch(identifier) else None
    if row is None:
        raise NotFoundError(f"no recommendation has the id '{visible(identifier[:LONGEST_SHOWN])}'")
    return row


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
    # What harmed once is not recommended again by itself: the waste is there as before, and so is the harm.
    was_harm = row.state == "refuted" and recommendation.category == WASTE
    is_back = not was_harm and row.absent > REOPEN_AFTER_SECONDS.get(row.state, float("inf"))
    row.seen, row.absent = at, 0.0
    # What people decided on keeps the evidence that they saw.
    if row.state == "open" or is_back or not list(_readable([row])):
        row.body = _with_proof(body, row.body)
    if is_back:
        row.created = at  # it stands since now
        _step(session, row, "reopen", at)
    return _read(row)


def _with_proof(body: dict[str, Any], known: object) -> dict[str, Any]:
    """Return a recommendation's new body with what was proved of it before; what is stored may be damaged."""
    values = known.get("values") if isinstance(known, dict) else None
    proved = values.get("proved") if isinstance(values, dict) else None
    return body if proved is None else body | {"values": body["values"] | {"proved": proved}}


def _new_finding(session: Session, key: str, finding: Finding, at: float) -> FindingRow:
    row = FindingRow(
        key=key,
        service=_column(finding.service),
        signal=_column(finding.signal),
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
    """Store one more of a recommendation's values; a damaged row has none yet."""
    body = row.body if isinstance(row.body, dict) else {}
    values = body.get("values")
    row.body = body | {"values": (values if isinstance(values, dict) else {}) | {name: value}}


def _step(session: Session, row: RecommendationRow, step: str, at: float) -> None:
    row.state = STEPS[step][1]
    row.updated = at
    session.add(EventRow(recommendation=row.id, at=at, step=step, state=row.state))


def _read(row: RecommendationRow) -> Recommendation:
    return replace(from_dict(row.body), state=row.state, created=row.created, updated=row.updated)


def _readable(rows: Iterable[RecommendationRow]) -> Iterator[Recommendation]:
    """Yield the recommendations that can be read; another program, or damage, may have written the others."""
    for row in rows:
        try:
            yield _read(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the stored recommendation %s cannot be read: %s", row.id, error)


def _is_finding(body: object) -> bool:
    return isinstance(body, dict) and all(isinstance(body.get(name), str) for name in SHOWN_OF_FINDINGS)


def _record(session: Session, change: Change) -> None:
    title = visible(change.title)[:LONGEST_TITLE]
    session.merge(
        ChangeRow(
            id=change.id, at=change.at, service=_column(change.service), kind=_column(change.kind)[:32], title=title
        )
    )


def _column(text: str) -> str:
    """Return a text that every database can hold in a column."""
    return visible(text)[:LONGEST_COLUMN]
