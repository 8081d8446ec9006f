"""Generated text inside of an event: which kinds of it there are, under whatever names, and counts of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

# Bits: one event may bring both.
ANSWER = 1
REASONING = 2

# What a piece says about itself: everything else in it that is text has been generated, under whichever name
# (content, reasoning_content, refusal, the name and arguments of a tool call, the transcript of speech).
_ABOUT = frozenset(
    {
        *("role", "id", "type", "index", "object", "status", "finish_reason", "stop_reason", "created", "created_at"),
        *("model", "format", "call_id", "item_id", "response_id", "tool_call_id", "expires_at", "annotations"),
        *("citation", "citations", "signature", "logprobs", "usage", "system_fingerprint"),
    }
)
# Deeper than any format nests: a list of tool calls, each with a function, each with arguments.
_DEPTH = 8
# More than any model reads or writes: beyond it the server's count is not a count.
_MOST_TOKENS = 1_000_000_000


@dataclass(slots=True)
class Usage:
    """The server's own counts of tokens; None where it reports none."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    # Those of the output that were reasoning, and those of the input that came from a cache.
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None

    def note(self, **counts: Any) -> None:
        """Keep what is a number of tokens; a later report replaces an earlier one, what it lacks stays."""
        for name, value in counts.items():
            if is_count(value):
                setattr(self, name, value)


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value can be a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS


def kinds_of(piece: Any, kind: int = ANSWER, depth: int = _DEPTH) -> int:
    """Return the kinds of generated text that are anywhere inside of a piece, which is of a kind itself."""
    if isinstance(piece, str):
        return kind if piece else 0
    if not piece or depth == 0:
        return 0
    if isinstance(piece, dict):
        return _kinds_of_fields(piece, REASONING if is_reasoning(piece.get("type")) else kind, depth)
    found = 0
    for part in piece if isinstance(piece, list) else ():
        found |= kinds_of(part, kind, depth - 1)
    return found


def _kinds_of_fields(piece: dict[str, Any], kind: int, depth: int) -> int:
    found = 0
    for name, part in piece.items():
        if part and name not in _ABOUT:
            found |= kinds_of(part, REASONING if is_reasoning(name) else kind, depth - 1)
    return found


def is_reasoning(name: Any) -> bool:
    """Return whether a field or a type of this name holds reasoning."""
    return isinstance(name, str) and ("reasoning" in name or "thinking" in name)


def part_of(value: Any, name: str) -> Any:
    """Return a field of a JSON object; None of anything else."""
    return value.get(name) if isinstance(value, dict) else None
