"""The traces of sampled requests: of the slowest, and of those that failed. Bounded, and tallies of it add up."""

from __future__ import annotations

from typing import Any, NamedTuple

from perfloop_loadgen.outcomes import OK

MOST_TRACES = 10
"""How many are kept of each kind."""


class TraceRow(NamedTuple):
    """One sampled request; `seconds` from its intended start, a lower bound where it timed out."""

    trace_id: str
    seconds: float
    outcome: str
    label: str


class TraceTally:
    """How many requests carried a trace that was to be recorded, and which of them to look at."""

    __slots__ = ("failed", "sampled", "slowest")

    def __init__(self) -> None:
        self.sampled = 0
        # Descending by time; and the newest last.
        self.slowest: list[TraceRow] = []
        self.failed: list[TraceRow] = []

    def note(self, row: TraceRow) -> None:
        """Count a request that has ended."""
        self.sampled += 1
        if row.outcome != OK:
            self.failed = [*self.failed, row][-MOST_TRACES:]
        if len(self.slowest) < MOST_TRACES or row.seconds > self.slowest[-1].seconds:
            self._keep([row])

    def add(self, other: TraceTally) -> None:
        """Add everything that the other tally counted."""
        self.sampled += other.sampled
        self.failed = [*self.failed, *other.failed][-MOST_TRACES:]
        self._keep(other.slowest)

    def _keep(self, rows: list[TraceRow]) -> None:
        self.slowest = sorted([*self.slowest, *rows], key=lambda row: -row.seconds)[:MOST_TRACES]

    def to_wire(self) -> dict[str, Any]:
        """Return plain values that another process can build the same tally from."""
        return {
            "sampled": self.sampled,
            "slowest": [list(row) for row in self.slowest],
            "failed": [list(row) for row in self.failed],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> TraceTally:
        """Build the tally that `to_wire` was called on."""
        tally = cls()
        tally.sampled = wire["sampled"]
        tally.slowest = [TraceRow(*row) for row in wire["slowest"]]
        tally.failed = [TraceRow(*row) for row in wire["failed"]]
        return tally
