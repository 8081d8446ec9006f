"""A store that forgets: what a replay needs to remember from cycle to cycle, and nothing of it on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from perfloop_analyzer.changes import MOST
from perfloop_analyzer.errors import NotFoundError
from perfloop_analyzer.incidents import Memory
from perfloop_analyzer.recommend import by_urgency
from perfloop_analyzer.recommend.recommendation import HEALED_SECONDS, healed_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_analyzer.changes import Change
    from perfloop_analyzer.findings import Finding
    from perfloop_analyzer.planning.costs.progress import Baseline
    from perfloop_analyzer.recommend import Recommendation


@dataclass(slots=True)
class _Row:
    known: Recommendation
    seen: float
    absent: float = 0.0


class Scratch:
    """The part of the database that a replay needs, which nobody decides anything in.

    Recommendations are open, heal when they are absent, and are opened again when they come back, as in
    the database.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._memory = Memory()
        self._changes: list[Change] = []

    def merge(
        self, recommendations: Sequence[Recommendation], at: float, watched: float | None = None
    ) -> tuple[Recommendation, ...]:
        """Return what a cycle recommends with its state; what was absent healed by itself."""
        for row in self._rows.values():
            row.absent = at - row.seen if watched is None else row.absent + watched
        merged = tuple(self._merge_one(one, at) for one in recommendations)
        names = {one.id for one in recommendations}
        for name, row in self._rows.items():
            if name not in names and row.known.state == "open" and row.absent > HEALED_SECONDS:
                values = {**row.known.values, **healed_values(row.seen)}
                row.known = replace(row.known, state="healed", updated=at, values=values)
        return merged

    def _merge_one(self, one: Recommendation, at: float) -> Recommendation:
        row = self._rows.get(one.id)
        if row is None or (row.known.state == "healed" and row.absent > 0):
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

    def transition(self, identifier: str, step: str, at: float, effort_hours: float | None = None) -> Recommendation:
        """Refuse: nobody decides in a replay."""
        del step, at, effort_hours
        raise NotFoundError(f"a replay's recommendation {identifier} cannot be changed")

    def first_accepted(self) -> float | None:
        """Return nothing: nobody decides in a replay."""
        return None

    def cost_baseline(self, since: float, currency: str) -> Baseline | None:
        """Return nothing: a replay makes no plan."""
        del since, currency
        return None

    def write_cost_baseline(self, baseline: Baseline) -> None:
        """Do nothing: a replay makes no plan."""

    def note_saving(self, identifier: str, saved: Mapping[str, Any]) -> None:
        """Do nothing: nothing was implemented."""

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
        """Return the newest changes since a moment, as far as the past shows them."""
        return tuple(sorted((one for one in self._changes if one.at >= since), key=lambda one: -one.at))[:MOST]

    def record_change(self, change: Change) -> None:
        """Keep a change."""
        self._changes.append(change)

    def record_proof(self, identifier: str, proof: Mapping[str, Any], at: float) -> Recommendation:
        """Refuse: nothing is proved in a replay."""
        del proof, at
        raise NotFoundError(f"a replay's recommendation {identifier} cannot be changed")

    def write_baselines(self, baselines: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Do nothing: the loop has them."""

    def baselines(self, since: float) -> dict[str, dict[str, Any]]:
        """Return nothing."""
        del since
        return {}
