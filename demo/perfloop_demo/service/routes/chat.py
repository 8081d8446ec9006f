"""`POST /v1/chat/completions`: OpenAI's interface, answered by a very small model.

The shapes: https://platform.openai.com/docs/api-reference/chat and its streaming objects.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from perfloop_demo.service.language import MODEL_NAME
from perfloop_demo.service.service import Service, ServiceDep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

router = APIRouter()

_MAX_MESSAGES = 200
_MAX_CHARACTERS = 100_000


class ChatMessage(BaseModel):
    """One turn of a conversation; the parts of multimodal content may be given as a list."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = Field(None, max_length=_MAX_CHARACTERS)

    @property
    def words(self) -> str:
        """The text of the turn."""
        parts = self.content if isinstance(self.content, list) else [{"text": self.content or ""}]
        text = " ".join(str(part.get("text", "")) for part in parts)
        # Unpaired surrogates are valid JSON but cannot be sent back.
        return text.encode("utf-8", "replace").decode()


class StreamOptions(BaseModel):
    """How to stream."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The body of a request; parameters of OpenAI's interface that this model does not use are ignored."""

    # Clients send temperature, top_p and more: an error would exclude them.
    model_config = ConfigDict(extra="ignore")

    messages: list[ChatMessage] = Field(min_length=1, max_length=_MAX_MESSAGES)
    model: str = Field(MODEL_NAME, min_length=1, max_length=100)
    max_tokens: int = Field(24, ge=1, le=1000)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()


class Completion:
    """One answer: its id, its tokens, and the metrics of the call."""

    def __init__(self, request: ChatRequest, service: Service) -> None:
        self._request = request
        self._model = service.model
        self._prompt = "\n".join(message.words for message in request.messages)
        self._call = service.instruments.measure_call(MODEL_NAME)
        self._head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": MODEL_NAME}
        self._written = 0

    async def tokens(self) -> AsyncIterator[str]:
        """Yield the answer's tokens, measured; also when the client goes away in the middle."""
        try:
            async for word in self._model.stream(self._prompt, self._request.max_tokens):
                self._call.token()
                self._written += 1
                yield word if self._written == 1 else f" {word}"
        finally:
            self._call.finish(input_tokens=self._count_input(), output_tokens=self._written)

    async def events(self) -> AsyncIterator[str]:
        """Yield the answer as server-sent events."""
        yield self._event({"role": "assistant", "content": ""})
        async for token in self.tokens():
            yield self._event({"content": token})
        yield self._event({}, "length")
        if self._request.stream_options.include_usage:
            yield _pack({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()})
        yield "data: [DONE]\n\n"

    async def whole(self) -> dict[str, Any]:
        """Return the answer in one piece."""
        text = "".join([token async for token in self.tokens()])
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "length"}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def _event(self, delta: dict[str, str], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _pack({**self._head, "object": "chat.completion.chunk", "choices": [choice]})

    def _usage(self) -> dict[str, int]:
        read = self._count_input()
        return {"prompt_tokens": read, "completion_tokens": self._written, "total_tokens": read + self._written}

    def _count_input(self) -> int:
        return len(self._prompt.split())


def _pack(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


@router.post("/v1/chat/completions")
async def complete_chat(request: ChatRequest, service: ServiceDep) -> Response:
    """Answer a conversation, as a stream of tokens where the request asks for it."""
    completion = Completion(request, service)
    if request.stream:
        return StreamingResponse(completion.events(), media_type="text/event-stream")
    return JSONResponse(await completion.whole())
