"""Open episodes and incidents as rows, and the moment when the analyzer last looked.

The tables hold what the last cycle left, and nothing else: a row that the newest memory does not have is deleted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select

from perfloop_analyzer.incidents import Memory
from perfloop_analyzer.incidents.continuity import Episode, Standing
from perfloop_analyzer.store.tables import EpisodeRow, IncidentRow, MomentRow

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy.orm import Session

LOOKED = "looked"

RowT = TypeVar("RowT", EpisodeRow, IncidentRow)


def read_memory(session: Session) -> Memory:
    """Return what was written last; a row that another program or damage has changed is left out."""
    looked = session.get(MomentRow, LOOKED)
    episodes = {
        row.key: Episode(row.began, row.expected, row.deviation, row.seen)
        for row in session.scalars(select(EpisodeRow))
        if all(map(math.isfinite, (row.began, row.seen, row.deviation)))
    }
    incidents = {
        row.id: Standing(row.id, row.started, row.seen, frozenset(map(str, row.members)))
        for row in session.scalars(select(IncidentRow))
        if isinstance(row.members, list) and all(map(math.isfinite, (row.started, row.seen)))
    }
    return Memory(looked.at if looked else None, episodes, incidents)


def write_memory(session: Session, memory: Memory) -> None:
    """Make the tables hold this memory."""
    if memory.looked is not None:
        session.merge(MomentRow(name=LOOKED, at=memory.looked))
    episodes = _rows(session, {row.key: row for row in session.scalars(select(EpisodeRow))}, memory.episodes, _episode)
    for key, row in episodes.items():
        one = memory.episodes[key]
        row.began, row.seen, row.deviation = one.began, one.seen, one.deviation
        # JSON and SQLite have no NaN.
        row.expected = one.expected if one.expected is not None and math.isfinite(one.expected) else None
    incidents = _rows(
        session, {row.id: row for row in session.scalars(select(IncidentRow))}, memory.incidents, _incident
    )
    for key, standing in incidents.items():
        known = memory.incidents[key]
        standing.started, standing.seen, standing.members = known.started, known.seen, sorted(known.members)


def _rows(
    session: Session, held: dict[str, RowT], wanted: Collection[str], make: Callable[[str], RowT]
) -> dict[str, RowT]:
    """Return a row for each wanted key, new where there was none; delete the others."""
    for key in held.keys() - set(wanted):
        session.delete(held.pop(key))
    for key in wanted:
        if key not in held:
            held[key] = make(key)
            session.add(held[key])
    return held


def _episode(key: str) -> EpisodeRow:
    return EpisodeRow(key=key)


def _incident(key: str) -> IncidentRow:
    return IncidentRow(id=key)
