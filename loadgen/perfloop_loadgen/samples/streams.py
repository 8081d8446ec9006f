"""Streamed answers: the meter that follows one, and the tally that adds them up.

The formulas are in `FORMULAS`, since the field's tools differ on them. A gap is counted for every pair of neighbouring
events with content. Output tokens are the server's own `usage`; where it reports none, each event with content counts
as one token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from perfloop_loadgen.samples.histogram import SECOND, Histogram

if TYPE_CHECKING:
    from perfloop_loadgen.config.scenario import SloConfig

FORMULAS = {
    "time_to_first_token": "first event with content - intended start",
    "gap": "between neighbouring events with content, each one counted",
    "longest_stall": "largest gap of one answer",
    "time_per_output_token": "(last event - first event) / (output tokens - 1)",
    "tokens_per_second": "output tokens of all answers / duration of the run",
    "goodput": "answers that met every limit of the SLO / duration of the run",
}
_DONE = b"[DONE]"


class StreamTally:
    """Histograms (in nanoseconds) and counts over streamed answers."""

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
        """Add everything that the other one counted."""
        for name in _HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_wire(self) -> dict[str, Any]:
        """Return plain values that another process can build the same tally from."""
        wire: dict[str, Any] = {name: dict(getattr(self, name).counts) for name in _HISTOGRAMS}
        return wire | {name: getattr(self, name) for name in _COUNTS}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> StreamTally:
        """Build the tally that `to_wire` was called on."""
        tally = cls()
        for name in _HISTOGRAMS:
            setattr(tally, name, Histogram(wire[name]))
        for name in _COUNTS:
            setattr(tally, name, wire[name])
        return tally


_HISTOGRAMS = ("first_token", "gap", "stall", "per_token")
_COUNTS = ("answers", "counted_by_usage", "events", "good", "input_tokens", "output_tokens")


class StreamMeter:
    """Reads server-sent events as their bytes come; the time of an event is the time its last byte came."""

    __slots__ = ("_buffer", "_events", "_first", "_gaps", "_last", "_usage")

    def __init__(self) -> None:
        self._buffer = b""
        self._events = 0
        self._first = self._last = 0
        self._gaps: list[int] = []
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes, now: int) -> None:
        """Take a piece of the body; `now` is in nanoseconds of the run's clock."""
        # Events end with an empty line, with either line end (WHATWG HTML, section 9.2).
        buffer = (self._buffer + data).replace(b"\r\n", b"\n")
        *events, self._buffer = buffer.split(b"\n\n")
        for event in events:
            for line in event.split(b"\n"):
                if line.startswith(b"data:"):
                    self._take(line[5:].strip(), now)

    @property
    def events(self) -> int:
        """Return how many events with content came."""
        return self._events

    def close(self, tally: StreamTally, intended: int, ended: int, slo: SloConfig) -> None:
        """Count the whole answer; both moments are in nanoseconds of the run's clock."""
        first_token = self._first - intended
        tally.answers += 1
        tally.events += self._events
        tally.first_token.record(first_token)
        for gap in self._gaps:
            tally.gap.record(gap)
        if self._gaps:
            tally.stall.record(max(self._gaps))
        tokens = self._count_tokens(tally)
        # The first token's time is the prefill; what follows is spread over the other tokens.
        per_token = (self._last - self._first) / (tokens - 1) if tokens > 1 else None
        if per_token is not None:
            tally.per_token.record(round(per_token))
        tally.good += _meets(slo, first_token, per_token, ended - intended)

    def _take(self, payload: bytes, now: int) -> None:
        if not payload or payload == _DONE or not self._has_content(payload):
            return
        if self._events:
            self._gaps.append(now - self._last)
        else:
            self._first = now
        self._last = now
        self._events += 1

    def _has_content(self, payload: bytes) -> bool:
        """Return whether an event brings content, and keep its `usage`; an event of an unknown form brings content."""
        try:
            event = orjson.loads(payload)
        except ValueError:
            return True
        if not isinstance(event, dict):
            return True
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choices = event.get("choices")
        if not isinstance(choices, list):
            return usage is None
        return any(_has_text(choice) for choice in choices)

    def _count_tokens(self, tally: StreamTally) -> int:
        reported = self._usage.get("completion_tokens")
        tokens = reported if isinstance(reported, int) else self._events
        tally.counted_by_usage += isinstance(reported, int)
        tally.output_tokens += tokens
        prompt = self._usage.get("prompt_tokens")
        tally.input_tokens += prompt if isinstance(prompt, int) else 0
        return tokens


def _has_text(choice: Any) -> bool:
    """Return whether a choice of an OpenAI chunk holds text, reasoning or a tool call."""
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta") or {}
    parts = (choice.get("text"), *(delta.get(name) for name in ("content", "reasoning_content", "tool_calls")))
    return any(parts)


def _meets(slo: SloConfig, first_token: int, per_token: float | None, whole: int) -> bool:
    """Return whether an answer of these nanoseconds keeps every limit of the SLO."""
    pairs = (
        (first_token, slo.first_token_seconds),
        (per_token, slo.per_token_seconds),
        (whole, slo.whole_seconds),
    )
    return all(limit is None or value is None or value <= limit * SECOND for value, limit in pairs)
