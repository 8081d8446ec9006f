"""Streamed answers: the meter that follows one, and the tally that adds them up.

The formulas are in `FORMULAS`, since the field's tools differ on them. A gap is counted for every pair of neighbouring
events with content. Output tokens are the server's own `usage`; where it reports none, each event with content counts
as one token. An answer that failed (an error inside of its stream, no end, nothing in it) counts in none of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfloop_loadgen import outcomes
from perfloop_loadgen.samples.histogram import SECOND, Histogram
from perfloop_loadgen.streaming.answer import AnswerReader
from perfloop_loadgen.streaming.events import EventReader
from perfloop_loadgen.streaming.pieces import ANSWER, REASONING, Usage

if TYPE_CHECKING:
    from perfloop_loadgen.config.scenario import SloConfig

FORMULAS = {
    "time_to_first_token": "first event with content, reasoning included - intended start",
    "time_to_first_answer_token": "first event with content other than reasoning - intended start",
    "time_to_first_reasoning_token": "first event with reasoning - intended start",
    "gap": "between neighbouring events with content, each one counted",
    "longest_stall": "largest gap of one answer",
    "time_per_output_token": "(last event - first event) / (output tokens - 1)",
    "tokens_per_second": "output tokens of all answers / duration of the run",
    "goodput": "answers that met every limit of the SLO / duration of the run",
}


class StreamTally:
    """Histograms (in nanoseconds) and counts over streamed answers."""

    __slots__ = (
        "answers",
        "asked_answers",
        "asked_input_tokens",
        "asked_output_answers",
        "asked_output_tokens",
        "cached_tokens",
        "counted_by_usage",
        "counted_input_tokens",
        "counted_output_tokens",
        "events",
        "first_answer",
        "first_reasoning",
        "first_token",
        "gap",
        "good",
        "input_tokens",
        "output_tokens",
        "per_token",
        "reasoning_events",
        "reasoning_tokens",
        "stall",
    )

    def __init__(self) -> None:
        for name in _HISTOGRAMS:
            setattr(self, name, Histogram())
        for name in _COUNTS:
            setattr(self, name, 0)

    first_token: Histogram
    first_answer: Histogram
    first_reasoning: Histogram
    gap: Histogram
    stall: Histogram
    per_token: Histogram
    answers: int
    counted_by_usage: int
    events: int
    reasoning_events: int
    good: int
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    # Answers whose prompt was generated to a length and whose server reported its own count: both sums are over these.
    asked_answers: int
    asked_input_tokens: int
    counted_input_tokens: int
    # The same of answers whose length was that of a trace.
    asked_output_answers: int
    asked_output_tokens: int
    counted_output_tokens: int

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


_HISTOGRAMS = ("first_token", "first_answer", "first_reasoning", "gap", "stall", "per_token")
_COUNTS = (
    *("answers", "counted_by_usage", "events", "reasoning_events", "good"),
    *("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"),
    *("asked_answers", "asked_input_tokens", "counted_input_tokens"),
    *("asked_output_answers", "asked_output_tokens", "counted_output_tokens"),
)


class StreamMeter:
    """Reads the events of an answer as their bytes come; the time of an event is the time its last byte came.

    What is kept of an answer is at most one event of LARGEST_EVENT and a histogram, whatever the server sends.
    """

    __slots__ = ("_answer", "_events", "_first", "_first_of", "_gaps", "_last", "_reader", "_reasoning", "_stall")

    def __init__(self) -> None:
        self._reader = EventReader()
        self._answer = AnswerReader()
        self._events = self._reasoning = 0
        self._first = self._last = 0
        self._first_of: dict[int, int] = {}  # by ANSWER and REASONING
        self._gaps = Histogram()
        self._stall = 0

    @property
    def error(self) -> str:
        """Return the kind of the error that the stream has reported so far; empty without one."""
        return self._answer.error

    def feed(self, data: bytes, now: int) -> bool:
        """Take a piece of the body; return False once an event is larger than LARGEST_EVENT.

        Args:
            data: the next bytes of the body.
            now: when they came, in nanoseconds of the run's clock.
        """
        take = self._answer.take
        for event in self._reader.feed(data):
            kinds = take(event)
            if kinds:
                self._take(kinds, now)
        return not self._reader.too_large

    def end(self, now: int) -> tuple[str, str]:
        """Return the outcome of an answer whose body has ended, and of a failed one the kind: what to count it under.

        That is what the server called its error, or what the stream ended without.
        """
        for event in self._reader.end():
            kinds = self._answer.take(event)
            if kinds:
                self._take(kinds, now)
        if self._answer.error:
            return outcomes.STREAM_ERROR, self._answer.error
        if not self._events:
            return outcomes.EMPTY_STREAM, ""
        if self._answer.lacks:
            return outcomes.TRUNCATED_STREAM, f"no {self._answer.lacks}"
        return outcomes.OK, ""

    def count(self, tally: StreamTally, span: tuple[int, int], slo: SloConfig, asked: tuple[int, int] = (0, 0)) -> None:
        """Count the whole answer.

        Args:
            tally: where.
            span: the intended start and the end, in nanoseconds of the run's clock.
            slo: what a good answer keeps.
            asked: how many tokens the prompt and the answer were meant to have; 0 where nothing was asked for.
        """
        intended, ended = span
        first_token = self._first - intended
        first_answer = self._first_of[ANSWER] - intended if ANSWER in self._first_of else None
        tally.answers += 1
        tally.events += self._events
        tally.reasoning_events += self._reasoning
        tally.first_token.record(first_token)
        if first_answer is not None:
            tally.first_answer.record(first_answer)
        if REASONING in self._first_of:
            tally.first_reasoning.record(self._first_of[REASONING] - intended)
        tally.gap.merge(self._gaps)
        if self._events > 1:
            tally.stall.record(self._stall)
        tokens = self._count_tokens(tally, *asked)
        # The first token is the prefill; what follows is spread over the other tokens. An answer in one event, as
        # of a server that does not stream, has no such time: 0 would be the best there is.
        per_token = (self._last - self._first) / (tokens - 1) if tokens > 1 and self._events > 1 else None
        if per_token is not None:
            tally.per_token.record(round(per_token))
        pairs = (
            (first_token, slo.first_token_seconds),
            # An answer that ended in its reasoning has no answer within any limit.
            (float("inf") if first_answer is None else first_answer, slo.first_answer_seconds),
            (per_token, slo.per_token_seconds),
            (ended - intended, slo.whole_seconds),
        )
        tally.good += all(limit is None or value is None or value <= limit * SECOND for value, limit in pairs)

    def _take(self, kinds: int, now: int) -> None:
        for kind in (ANSWER, REASONING):
            if kinds & kind:
                self._first_of.setdefault(kind, now)
        if self._events:
            gap = now - self._last
            self._gaps.record(gap)
            self._stall = max(self._stall, gap)
        else:
            self._first = now
        self._last = now
        self._events += 1
        self._reasoning += kinds == REASONING

    def _count_tokens(self, tally: StreamTally, asked_input: int, asked_output: int) -> int:
        usage: Usage = self._answer.usage
        tokens = self._events if usage.output_tokens is None else usage.output_tokens
        tally.counted_by_usage += usage.output_tokens is not None
        tally.output_tokens += tokens
        tally.input_tokens += usage.input_tokens or 0
        tally.cached_tokens += usage.cached_tokens or 0
        tally.reasoning_tokens += usage.reasoning_tokens or 0
        if asked_input and usage.input_tokens:
            tally.asked_answers += 1
            tally.asked_input_tokens += asked_input
            tally.counted_input_tokens += usage.input_tokens
        if asked_output:
            tally.asked_output_answers += 1
            tally.asked_output_tokens += asked_output
            tally.counted_output_tokens += tokens
        return tokens
