"""A store that forgets: what a replay needs to remember from cycle to cycle, and nothing of it on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.errors import NotFoundError
from perfloop_analyzer.incidents import Memory
from perfloop_analyzer.recommend import by_urgency
from perfloop_analyzer.store.database import EXPIRE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.recommend import Recommendation


@dataclass(slots=True)
class _Row:
    known: Recommendation
    seen: float
    absent: float = 0.0


class Scratch:
    """The part of the database that a replay needs, which nobody decides anything in.

    Recommendations are open, expire when they were absent for an hour, and are opened again when they come back, as in
    the database.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._memory = Memory()

    def merge(
        self, recommendations: Sequence[Recommendation], at: float, watched: float | None = None
    ) -> tuple[Recommendation, ...]:
        """Return what a cycle recommends with its state; expire what was absent for an hour."""
        for row in self._rows.values():
            row.absent = at - row.seen if watched is None else row.absent + watched
        merged = tuple(self._merge_one(one, at) for one in recommendations)
        names = {one.id for one in recommendations}
        for name, row in self._rows.items():
            if name not in names and row.known.state == "open" and row.absent > EXPIRE_SECONDS:
                row.known = replace(row.known, state="expired", updated=at)
        return merged

    def _merge_one(self, one: Recommendation, at: float) -> Recommendation:
        row = self._rows.get(one.id)
        if row is None or (row.known.state == "expired" and row.absent > 0):
            row = self._rows[one.id] = _Row(replace(one, state="open", created=at, updated=at), at)
        else:
            row.known = replace(one, state="open", created=row.known.created, updated=row.known.updated)
            row.seen, row.absent = at, 0.0
        return row.known

    def recommendations(self, state: str | None = None) -> tuple[Recommendation, ...]:
        """Return the recommendations, of one state if it is given, the most urgent first."""
        known = [row.known for row in self._rows.values()]
        return by_urgency([one for one in known if state in {None, one.state}])

    def decided(self, since: float) -> tuple[Recommendation, ...]:
        """Return nothing: nobody decides in a replay."""
        del since
        return ()

    def conclude(
        self, identifier: str, step: str, measured: Mapping[str, Any] | None, at: float, reason: str = ""
    ) -> None:
        """Do nothing: nothing was implemented."""

    def transition(self, identifier: str, step: str, at: float) -> Recommendation:
        """Refuse: nobody decides in a replay."""
        del step, at
        raise NotFoundError(f"a replay's recommendation {identifier} cannot be changed")

    def events(self, identifier: str) -> tuple[dict[str, Any], ...]:
        """Return nothing."""
        del identifier
        return ()

    def write_findings(self, findings: Sequence[Finding], at: float) -> None:
        """Do nothing: the journal has them."""

    def findings(self, since: float) -> Sequence[Any]:
        """Return nothing."""
        del since
        return ()

    def memory(self) -> Memory:
        """Return the open episodes and incidents."""
        return self._memory

    def write_memory(self, memory: Memory) -> None:
        """Replace the open episodes and incidents."""
        self._memory = memory

    def changes(self, since: float) -> tuple[Change, ...]:
        """Return nothing: nothing was changed."""
        del since
        return ()

    def record_change(self, change: Change) -> None:
        """Do nothing."""

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Do nothing: the loop has them."""

    def baselines(self, since: float) -> dict[str, dict[str, Any]]:
        """Return nothing."""
        del since
        return {}
