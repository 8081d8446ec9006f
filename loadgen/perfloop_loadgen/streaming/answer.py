"""What the events of one streamed answer say, in any of the formats of language models.

OpenAI's chat and completions (which vLLM, SGLang, llama.cpp and others speak) and Responses, Anthropic's Messages, and
Ollama's lines of JSON. An event of an unknown form brings content, and its stream has no end to be missed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from perfloop_loadgen.streaming.errors import (
    BROKEN_FINISHES,
    error_of,
    error_of_event,
    error_of_stray,
    error_of_unknown,
    is_failure_name,
)
from perfloop_loadgen.streaming.pieces import ANSWER, REASONING, Usage, is_count, kinds_of, part_of

if TYPE_CHECKING:
    from perfloop_loadgen.streaming.events import Event

_DONE = b"[DONE]"
# What ends an answer, by format.
_OPENAI_END = "[DONE] and no finish_reason"
_RESPONSES_END = "response.completed"
_ANTHROPIC_END = "message_stop"
_OLLAMA_END = "done: true"
_HEARTBEATS = frozenset({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
_ANTHROPIC_EVENTS = frozenset(
    {
        *("message_start", "message_delta", "message_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
    }
)
# OpenAI's `n` is at most this; further indexes are a hostile server's.
_MOST_CHOICES = 128


class AnswerReader:
    """Reads the events of one answer in their order; what is kept does not grow with them."""

    __slots__ = ("_done", "_end", "_finished", "_open", "error", "usage")

    def __init__(self) -> None:
        self.error = ""  # the kind of the first error that the stream reported
        self.usage = Usage()
        self._end = ""  # what ends an answer of its format; empty until the format is known
        self._done = self._finished = False
        self._open: set[int] = set()  # choices with content that have not finished

    @property
    def lacks(self) -> str:
        """Return what a whole answer of this format ends with, where it has not come; else an empty text."""
        is_whole = self._done or (self._finished and not self._open)
        return "" if is_whole else self._end

    def take(self, event: Event) -> int:
        """Return the kinds of generated text that an event brings: ANSWER, REASONING, both, or 0 for none."""
        if event.stray:
            return self._fail(error_of_stray(event.name, event.data))
        data = event.data
        if len(data) < 2 * len(_DONE) and data.strip() == _DONE:
            self._done = True
            return 0
        name = event.name.decode("utf-8", "replace") if event.name else ""
        if name and is_failure_name(name):
            return self._fail(error_of_event(name, data))
        if not data or name in _HEARTBEATS:
            return 0
        payload = _payload_of(data)
        if isinstance(payload, dict):
            return self._take_payload(payload)
        return self._take_list(payload) if isinstance(payload, list) else ANSWER

    def _fail(self, error: str) -> int:
        self.error = self.error or error
        return 0

    def _take_payload(self, payload: dict[str, Any]) -> int:
        choices = payload.get("choices")
        if choices and isinstance(choices, list) and not payload.get("error"):
            return self._take_openai(payload, choices)  # nearly every event is one: nothing else is looked at before
        error = error_of(payload)
        if error:
            return self._fail(error)
        if isinstance(choices, list):
            return self._take_openai(payload, choices)
        if isinstance(payload.get("done"), bool) and ("message" in payload or "response" in payload):
            return self._take_ollama(payload)
        return self._take_typed(str(payload.get("type")), payload)

    def _take_typed(self, kind: str, payload: dict[str, Any]) -> int:
        if kind.startswith("response."):
            return self._take_responses(kind, payload)
        if kind in _ANTHROPIC_EVENTS:
            return self._take_anthropic(kind, payload)
        return 0 if kind in _HEARTBEATS else self._take_unknown(payload)

    def _take_list(self, payloads: list[Any]) -> int:
        """Take a stream that was one JSON list, whose end completes it."""
        found = 0
        for payload in payloads:
            found |= self._take_payload(payload) if isinstance(payload, dict) else ANSWER
        return found

    def _take_openai(self, payload: dict[str, Any], choices: list[Any]) -> int:
        """https://platform.openai.com/docs/api-reference/chat-streaming."""
        self._end = _OPENAI_END
        usage = payload.get("usage")
        if isinstance(usage, dict):
            self._note_usage(usage)
            # The chunk with the usage of the whole answer has no choices, and is the last one before [DONE].
            self._done = self._done or (not choices and is_count(usage.get("completion_tokens")))
        found = 0
        for choice in choices:
            if isinstance(choice, dict):
                found |= self._take_choice(choice)
        return found

    def _take_choice(self, choice: dict[str, Any]) -> int:
        found = kinds_of(choice.get("delta") or choice.get("text") or choice.get("message"))
        index, finish = choice.get("index"), choice.get("finish_reason")
        number = index if isinstance(index, int) else 0
        if choice.get("error"):
            self._fail(error_of(choice))
        if finish:
            self._finished = True
            self._open.discard(number)
            if isinstance(finish, str) and finish in BROKEN_FINISHES:
                self._fail(f"finish_reason {finish}")
        elif found and len(self._open) < _MOST_CHOICES:
            self._open.add(number)
        return found

    def _take_responses(self, kind: str, payload: dict[str, Any]) -> int:
        """https://platform.openai.com/docs/api-reference/responses-streaming."""
        self._end = _RESPONSES_END
        self._note_usage(part_of(payload.get("response"), "usage"))
        if kind in {"response.completed", "response.incomplete"}:
            self._done = True
        if kind.endswith(".delta"):
            # Events named .done repeat the whole text of their deltas.
            return kinds_of(payload.get("delta"), REASONING if kind.startswith("response.reasoning") else ANSWER)
        return ANSWER if kind.endswith(".partial_image") else 0

    def _take_anthropic(self, kind: str, payload: dict[str, Any]) -> int:
        """https://docs.anthropic.com/en/docs/build-with-claude/streaming."""
        self._end = _ANTHROPIC_END
        if kind == "message_stop":
            self._done = True
        elif kind == "message_start":
            self._note_usage(part_of(payload.get("message"), "usage"))
        elif kind == "message_delta":
            self._note_usage(payload.get("usage"))
        elif kind == "content_block_delta":
            return kinds_of(payload.get("delta"))
        elif kind == "content_block_start":
            block = payload.get("content_block")
            # What a tool of the server's own found was not generated.
            return 0 if str(part_of(block, "type")).endswith("_result") else kinds_of(block)
        return 0

    def _take_ollama(self, payload: dict[str, Any]) -> int:
        """https://github.com/ollama/ollama/blob/main/docs/api.md."""
        self._end = _OLLAMA_END
        self._done = self._done or payload["done"]
        self.usage.note(input_tokens=payload.get("prompt_eval_count"), output_tokens=payload.get("eval_count"))
        thinking = kinds_of(payload.get("thinking"), REASONING)
        return kinds_of(payload.get("message")) | kinds_of(payload.get("response")) | thinking

    def _take_unknown(self, payload: dict[str, Any]) -> int:
        error = error_of_unknown(payload)
        if error:
            return self._fail(error)
        usage = payload.get("usage")
        if not isinstance(usage, dict):
            return ANSWER
        self._note_usage(usage)
        return kinds_of(payload)

    def _note_usage(self, usage: Any) -> None:
        """Keep counts of tokens under the names of OpenAI's chat, of its Responses, and of Anthropic."""
        if not isinstance(usage, dict):
            return
        self.usage.note(
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            reasoning_tokens=part_of(usage.get("completion_tokens_details"), "reasoning_tokens"),
            cached_tokens=part_of(usage.get("prompt_tokens_details"), "cached_tokens"),
        )
        self.usage.note(cached_tokens=usage.get("prompt_cache_hit_tokens"))  # DeepSeek's name
        read = usage.get("input_tokens")
        # Anthropic's input tokens are those that its prompt cache neither held nor was given.
        cached, created = (usage.get(f"cache_{name}_input_tokens") for name in ("read", "creation"))
        extra = sum(count for count in (cached, created) if is_count(count))
        self.usage.note(
            input_tokens=read + extra if is_count(read) else None,
            output_tokens=usage.get("output_tokens"),
            reasoning_tokens=part_of(usage.get("output_tokens_details"), "reasoning_tokens"),
            cached_tokens=part_of(usage.get("input_tokens_details"), "cached_tokens"),
        )
        self.usage.note(cached_tokens=cached)


def _payload_of(data: bytes) -> Any:
    """Return the JSON of an event, or its text where it is none."""
    try:
        return orjson.loads(data)
    except ValueError:
        pass
    text = data.decode("utf-8", "replace")  # as the standard decodes a stream: wrong bytes do not end it
    try:
        return orjson.loads(text)
    except ValueError:
        return text
