"""What a response of an OpenAI-compatible server holds: generated pieces, whatever they are called, usage, failures.

Read are the client's models and plain JSON alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# What a piece says about itself: everything else in it that is text has been generated, under whichever name
# (content, reasoning, reasoning_content, refusal, the arguments of a tool call, the transcript of speech).
_ABOUT = frozenset(
    {
        *("role", "id", "type", "index", "object", "status", "finish_reason", "created", "model", "format"),
        *("call_id", "item_id", "response_id", "expires_at", "annotations", "citations"),
    }
)
# Where the events of the Responses API, of speech and of images hold their piece.
_EVENT_PIECES = ("delta", "audio", "b64_json")
_EVENTS_WITH_PIECES = (".delta", ".partial_image")
_FAILURES = frozenset({"error", "response.failed"})
# As deep as pieces are nested: a list of tool calls, each with a function, each with arguments.
_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one call: of the prompt, of the response (None if unknown), and of those the hidden reasoning."""

    input_tokens: int
    output_tokens: int | None
    reasoning_tokens: int


def field(value: Any, name: str) -> Any:
    """Return a field of a model or of a JSON object; None where it has none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def generated_pieces(chunk: Any) -> list[Any]:
    """Return the pieces of a chunk or event of a stream that have generated text."""
    kind = field(chunk, "type")
    if isinstance(kind, str):
        pieces = [field(chunk, name) for name in _EVENT_PIECES] if kind.endswith(_EVENTS_WITH_PIECES) else []
    else:
        pieces = [field(choice, "delta") or field(choice, "text") for choice in field(chunk, "choices") or ()]
    return [piece for piece in pieces if _has_text(piece)]


def has_reasoning(chunk: Any, pieces: Iterable[Any]) -> bool:
    """Return whether the reasoning itself, not its summary, is among the generated pieces of a chunk."""
    if str(field(chunk, "type")).startswith("response.reasoning_text"):
        return True
    return any("reasoning" in name and _has_text(value) for piece in pieces for name, value in _items(piece))


def read_usage(answer: Any) -> Usage | None:
    """Return the usage in a response, a chunk, or the response inside of an event."""
    usage = field(answer, "usage") or field(field(answer, "response"), "usage")
    if usage is None:
        return None
    output = _first(usage, "completion_tokens", "output_tokens")
    details = _first(usage, "completion_tokens_details", "output_tokens_details")
    hidden = field(details, "reasoning_tokens") or 0
    return Usage(_first(usage, "prompt_tokens", "input_tokens") or 0, output, hidden)


def is_failure(answer: Any) -> bool:
    """Return whether a response or an event reports that the call failed, whatever its status."""
    return bool(field(answer, "error")) or field(answer, "type") in _FAILURES or field(answer, "status") == "failed"


def is_unfinished(answer: Any) -> bool:
    """Return whether a response only says that its call has begun, in the background."""
    return field(answer, "status") in {"queued", "in_progress"}


def _first(value: Any, *names: str) -> Any:
    return next((found for name in names if (found := field(value, name)) is not None), None)


def _has_text(value: Any, depth: int = _DEPTH) -> bool:
    if isinstance(value, str):
        return value != ""
    if value is None or isinstance(value, int | float) or depth == 0:
        return False
    if isinstance(value, list | tuple):
        return any(_has_text(one, depth - 1) for one in value)
    return any(name not in _ABOUT and _has_text(one, depth - 1) for name, one in _items(value))


def _items(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    if not hasattr(value, "__dict__"):
        return []
    # Names that the client does not know are in pydantic's model_extra.
    return [*vars(value).items(), *(getattr(value, "model_extra", None) or {}).items()]
