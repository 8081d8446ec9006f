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
_DELTA_PARTS = ("content", "reasoning_content", "tool_calls")
# Above the largest events of real services, images as base64.
LARGEST_EVENT = 4 * 1024 * 1024
# More than any model writes into one answer: beyond it the server's count is not a count.
_MOST_TOKENS = 1_000_000_000


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
    """Reads the events of an answer as their bytes come; the time of an event is the time its last byte came.

    Server-sent events (WHATWG HTML, section 9.2), or one JSON object a line. The work is linear in the bytes, and what
    is kept of an answer is at most one event of LARGEST_EVENT and a histogram, whatever the server sends.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_event_size",
        "_events",
        "_first",
        "_gaps",
        "_last",
        "_line",
        "_stall",
        "_usage",
    )

    def __init__(self) -> None:
        self._line = bytearray()  # a line that has begun
        self._after_cr = False
        self._data: list[bytes] = []  # the data lines of the event under way
        self._event_size = 0
        self._events = 0
        self._first = self._last = 0
        self._gaps = Histogram()
        self._stall = 0
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes, now: int) -> bool:
        """Take a piece of the body; return False once an event is larger than LARGEST_EVENT.

        Args:
            data: the next bytes of the body.
            now: when they came, in nanoseconds of the run's clock.
        """
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the other half of CR LF
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()
        rest = b"" if not lines or self._after_cr or data.endswith(b"\n") else lines.pop()
        if lines and self._line:
            lines[0] = bytes(self._line + lines[0])
            self._line.clear()
        for line in lines:
            self._take_line(line, now)
            if self._event_size > LARGEST_EVENT:
                return False
        self._line += rest
        return len(self._line) + self._event_size <= LARGEST_EVENT

    def _take_line(self, line: bytes, now: int) -> None:
        if not line:
            lines, self._data, self._event_size = self._data, [], 0
            if lines:
                self._take(lines[0] if len(lines) == 1 else b"\n".join(lines), now)
        elif line.startswith(b"data:"):
            self._data.append(line[5:].strip())
            self._event_size += len(line)
        elif line.startswith(b"{") and not self._data:
            # No field of an event begins so: it is JSON by lines, and each line is an event.
            self._take(line, now)

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
        tally.gap.merge(self._gaps)
        if self._events > 1:
            tally.stall.record(self._stall)
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
            gap = now - self._last
            self._gaps.record(gap)
            self._stall = max(self._stall, gap)
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
        reported = _count(self._usage.get("completion_tokens"))
        tokens = self._events if reported is None else reported
        tally.counted_by_usage += reported is not None
        tally.output_tokens += tokens
        tally.input_tokens += _count(self._usage.get("prompt_tokens")) or 0
        return tokens


def _count(value: Any) -> int | None:
    """Return a number of tokens, or None of what cannot be one."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _MOST_TOKENS else None


def _has_text(choice: Any) -> bool:
    """Return whether a choice of an OpenAI chunk holds text, reasoning or a tool call."""
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    parts = [delta.get(name) for name in _DELTA_PARTS] if isinstance(delta, dict) else []
    return any((choice.get("text"), *parts))


def _meets(slo: SloConfig, first_token: int, per_token: float | None, whole: int) -> bool:
    """Return whether an answer of these nanoseconds keeps every limit of the SLO."""
    pairs = (
        (first_token, slo.first_token_seconds),
        (per_token, slo.per_token_seconds),
        (whole, slo.whole_seconds),
    )
    return all(limit is None or value is None or value <= limit * SECOND for value, limit in pairs)
