"""Watches for changes: queries Prometheus for what it shows of them, and records what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfloop_analyzer.changes import (
    CHANGE_QUERIES,
    KEEP_SECONDS,
    MOST,
    POINTS,
    STEP_SECONDS,
    Change,
    is_same,
    observe,
)
from perfloop_analyzer.ports import Query
from perfloop_analyzer.series import Grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfloop_analyzer.ports import Responses, Store


def change_queries(at: float) -> tuple[list[Query], Grid]:
    """Return what to ask at a moment, in Unix seconds, and the moments to ask it of."""
    end = at - at % STEP_SECONDS
    queries = [Query(name, expr) for name, expr in CHANGE_QUERIES.items()]
    return queries, Grid(end - STEP_SECONDS * (POINTS - 1), STEP_SECONDS, POINTS)


class ChangeWatch:
    """Knows the changes of the last days: those in the database, and while it cannot be written those that it saw."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: tuple[Change, ...] = ()

    def note(self, responses: Responses | None, at: float) -> tuple[Change, ...]:
        """Record what is new in the answers, and return what was changed within KEEP_SECONDS, newest first.

        Raises:
            StoreError: The database cannot be read or written; what was seen is recorded the next time.
        """
        seen = (*self._unwritten, *(observe(responses.batches) if responses else ()))
        self._unwritten = _newest(_without_duplicates(seen))
        known = self._store.changes(at - KEEP_SECONDS)
        new = [one for one in self._unwritten if not any(is_same(one, other) for other in known)]
        for change in new:
            self._store.record_change(change)
        self._unwritten = ()
        return _newest((*known, *new))

    @property
    def unwritten(self) -> tuple[Change, ...]:
        """What was seen and could not be recorded yet, newest first."""
        return self._unwritten


def _without_duplicates(changes: Sequence[Change]) -> list[Change]:
    kept: list[Change] = []
    for change in changes:
        if not any(is_same(change, other) for other in kept):
            kept.append(change)
    return kept


def _newest(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda one: (-one.at, one.id)))[:MOST]
