"""Follow one streamed answer: when its events came, how many tokens it held, whether it kept the SLO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from perfloop_loadgen.samples.histogram import SECOND

if TYPE_CHECKING:
    from perfloop_loadgen.config.scenario import SloConfig
    from perfloop_loadgen.samples.streams import StreamTally

_DONE = b"[DONE]"


def meets(slo: SloConfig, first_token: int, per_token: float | None, whole: int) -> bool:
    """Say whether an answer of these nanoseconds keeps every limit of the SLO."""
    pairs = (
        (first_token, slo.first_token_seconds),
        (per_token, slo.per_token_seconds),
        (whole, slo.whole_seconds),
    )
    return all(limit is None or value is None or value <= limit * SECOND for value, limit in pairs)


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
        """Take a piece of the body."""
        buffer = (self._buffer + data).replace(b"\r\n", b"\n")
        *events, self._buffer = buffer.split(b"\n\n")
        for event in events:
            for line in event.split(b"\n"):
                if line.startswith(b"data:"):
                    self._take(line[5:].strip(), now)

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
        """Say whether an event brings content; events of no known form do."""
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
        return any(_brings_text(choice) for choice in choices)

    @property
    def events(self) -> int:
        """Return how many events with content came."""
        return self._events

    def close(self, tally: StreamTally, intended: int, ended: int, slo: SloConfig) -> None:
        """Count the whole answer."""
        first_token = self._first - intended
        tally.answers += 1
        tally.events += self._events
        tally.first_token.record(first_token)
        for gap in self._gaps:
            tally.gap.record(gap)
        if self._gaps:
            tally.stall.record(max(self._gaps))
        tokens = self._tokens(tally)
        per_token = (self._last - self._first) / (tokens - 1) if tokens > 1 else None
        if per_token is not None:
            tally.per_token.record(round(per_token))
        tally.good += meets(slo, first_token, per_token, ended - intended)

    def _tokens(self, tally: StreamTally) -> int:
        told = self._usage.get("completion_tokens")
        tokens = told if isinstance(told, int) else self._events
        tally.counted_by_usage += isinstance(told, int)
        tally.output_tokens += tokens
        asked = self._usage.get("prompt_tokens")
        tally.input_tokens += asked if isinstance(asked, int) else 0
        return tokens


def _brings_text(choice: Any) -> bool:
    """Say whether a choice of an OpenAI chunk holds text, reasoning or a tool call."""
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta") or {}
    parts = (choice.get("text"), *(delta.get(name) for name in ("content", "reasoning_content", "tool_calls")))
    return any(parts)
