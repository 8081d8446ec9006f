"""The text of a streamed answer, for the next turn of its conversation."""

from __future__ import annotations

from typing import Any

import orjson

from perfloop_loadgen.streaming.events import EventReader
from perfloop_loadgen.streaming.pieces import part_of

_TEXT_DELTAS = frozenset({"response.output_text.delta", "response.refusal.delta"})


def answer_text(body: bytes) -> str:
    """Return the text that a client shows of a streamed answer: without reasoning, tool calls and further choices."""
    reader = EventReader()
    texts = []
    for event in (*reader.feed(body), *reader.end()):
        try:
            payload = orjson.loads(event.data)
        except ValueError:
            continue
        if isinstance(payload, dict):
            texts.append(_text_in(payload))
    return "".join(texts)


def _text_in(payload: dict[str, Any]) -> str:
    choices = payload.get("choices")
    if isinstance(choices, list):
        return "".join(_text_of_choice(choice) for choice in choices if not part_of(choice, "index"))
    if payload.get("type") in _TEXT_DELTAS:
        return _plain(payload.get("delta"))
    if payload.get("type") == "content_block_delta":
        return _plain(part_of(payload.get("delta"), "text"))
    if isinstance(payload.get("done"), bool):
        return _plain(part_of(payload.get("message"), "content")) or _plain(payload.get("response"))
    return ""


def _text_of_choice(choice: Any) -> str:
    said = [part_of(part_of(choice, name), "content") for name in ("delta", "message")]
    return "".join(map(_plain, [*said, part_of(choice, "text")]))


def _plain(content: Any) -> str:
    """Return a text, or the texts of a list of parts."""
    if isinstance(content, list):
        return "".join(_plain(part_of(part, "text")) for part in content if part_of(part, "type") == "text")
    return content if isinstance(content, str) else ""
