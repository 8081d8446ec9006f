"""What was measured about streamed answers; adds up like a tally.

The formulas, since the field's tools differ on them:
    time to first token   first event with content - intended start
    gap                   between neighbouring events with content, every one of them counted
    longest stall         the largest gap of one answer
    time per output token (last event - first event) / (output tokens - 1)
    tokens per second     output tokens of all answers / duration of the run
    goodput               answers that met every limit of the SLO / duration of the run
Output tokens are the server's own `usage`; where it tells none, each event with content counts as one.
"""

from __future__ import annotations

from typing import Any

from perfloop_loadgen.samples.histogram import Histogram

FORMULAS = {
    "time_to_first_token": "first event with content - intended start",
    "gap": "between neighbouring events with content, each one counted",
    "longest_stall": "largest gap of one answer",
    "time_per_output_token": "(last event - first event) / (output tokens - 1)",
    "tokens_per_second": "output tokens of all answers / duration of the run",
    "goodput": "answers that met every limit of the SLO / duration of the run",
}


class StreamTally:
    """Histograms and counts over streamed answers."""

    __slots__ = (
        "answers",
        "counted_by_usage",
        "events",
        "first_token",
        "gap",
        "good",
        "input_tokens",
        "output_tokens",
        "per_token",
        "stall",
    )

    def __init__(self) -> None:
        self.first_token = Histogram()
        self.gap = Histogram()
        self.stall = Histogram()
        self.per_token = Histogram()
        self.answers = 0
        self.counted_by_usage = 0
        self.events = 0
        self.good = 0
        self.input_tokens = 0
        self.output_tokens = 0

    def add(self, other: StreamTally) -> None:
        """Take over everything that the other one counted."""
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_wire(self) -> dict[str, Any]:
        """Return plain values that another process can build the same tally from."""
        wire: dict[str, Any] = {name: dict(getattr(self, name).counts) for name in HISTOGRAMS}
        return wire | {name: getattr(self, name) for name in COUNTS}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> StreamTally:
        """Build the tally that `to_wire` told of."""
        tally = cls()
        for name in HISTOGRAMS:
            setattr(tally, name, Histogram(wire[name]))
        for name in COUNTS:
            setattr(tally, name, wire[name])
        return tally


HISTOGRAMS = ("first_token", "gap", "stall", "per_token")
COUNTS = ("answers", "counted_by_usage", "events", "good", "input_tokens", "output_tokens")
