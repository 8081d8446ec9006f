"""Every call of the OpenAI client against a real server: whatever the generated text is called, however it is read."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel

from perfloop_exporter.instrument import instrument_openai
from perfloop_exporter.instrument.llm_pieces import generated_pieces

from .conftest import read_default

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

# Before the first piece, and between pieces.
FIRST, GAP, PIECES = 0.06, 0.05, 5
USAGE = {"prompt_tokens": 11, "completion_tokens": PIECES, "total_tokens": 16}
RESPONSE_USAGE = {
    "input_tokens": 11,
    "output_tokens": PIECES,
    "total_tokens": 16,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
HI: Any = [{"role": "user", "content": "hi"}]
_numbers = itertools.count()


class Greeting(BaseModel):
    """What `parse` reads."""

    word: str


# What a server sends: an empty piece at once, thoughts under whichever name, and then one piece of content.
THOUGHTS: dict[str, dict[str, Any]] = {
    "content": {"content": "t "},
    "reasoning": {"reasoning": "t "},
    "reasoning_content": {"reasoning_content": "t "},
    "refusal": {"refusal": "no "},
    "arguments": {"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]},
    "transcript": {"audio": {"id": "a", "transcript": "t "}},
    "function": {"function_call": {"arguments": '{"a'}},
}


def build_app() -> FastAPI:
    """Return an OpenAI-compatible server."""
    app = FastAPI()

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: dict[str, Any]) -> Response:
        if body.get("stream"):
            return StreamingResponse(chunks(body), media_type="text/event-stream")
        await asyncio.sleep(FIRST)
        message = {"role": "assistant", "content": '{"word": "hi"}'}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return JSONResponse(envelope(body, "chat.completion", choices) | {"usage": USAGE})

    @app.post("/v1/responses", response_model=None)
    async def respond(body: dict[str, Any]) -> Response:
        if body.get("stream"):
            return StreamingResponse(events(body), media_type="text/event-stream")
        return JSONResponse(response(body, "queued" if body.get("background") else "completed"))

    @app.post("/v1/embeddings")
    async def embed(body: dict[str, Any]) -> dict[str, Any]:
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        return {"object": "list", "data": data, "model": body["model"], "usage": USAGE}

    @app.post("/v1/audio/speech")
    async def speak() -> Response:
        return Response(b"sound", media_type="audio/mpeg")

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": []}

    return app


def envelope(body: dict[str, Any], kind: str, choices: list[Any]) -> dict[str, Any]:
    """Return the object around the choices."""
    return {"id": "1", "object": kind, "created": 1, "model": body["model"], "choices": choices}


def line(data: dict[str, Any]) -> str:
    """Return one event."""
    return f"data: {json.dumps(data)}\n\n"


async def chunks(body: dict[str, Any]) -> AsyncIterator[str]:
    """Yield an empty piece, PIECES - 1 thoughts and the content; a model called "breaks" breaks after two pieces."""

    def chunk(delta: dict[str, Any]) -> str:
        choices = [{"index": 0, "delta": delta, "finish_reason": None}]
        return line(envelope(body, "chat.completion.chunk", choices))

    kind = body["model"].partition(" ")[0]
    yield chunk({"role": "assistant", "content": "", "reasoning": None, "tool_calls": []})
    await asyncio.sleep(FIRST)
    for number in range(PIECES):
        if number:
            await asyncio.sleep(GAP)
        if number == 2 and kind == "breaks":
            raise ConnectionAbortedError
        if number == 2 and kind == "reports":
            yield line({"error": {"message": "out of memory"}})
            return
        yield chunk(THOUGHTS.get(kind, THOUGHTS["content"]) if number < PIECES - 1 else {"content": "end"})
    if body.get("stream_options"):
        details = {"reasoning_tokens": 1000 if kind == "hidden" else 0}
        tokens = PIECES + details["reasoning_tokens"]
        usage = USAGE | {"completion_tokens": tokens, "completion_tokens_details": details}
        yield line(envelope(body, "chat.completion.chunk", []) | {"usage": usage})
    yield "data: [DONE]\n\n"


def response(body: dict[str, Any], status: str) -> dict[str, Any]:
    """Return an object of the Responses API."""
    text = [{"type": "output_text", "text": '{"word": "hi"}', "annotations": []}]
    output = [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": text}]
    return {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "model": body["model"],
        "status": status,
        "error": None,
        "output": output,
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        **({"usage": RESPONSE_USAGE} if status == "completed" else {}),
    }


async def events(body: dict[str, Any]) -> AsyncIterator[str]:
    """Yield the events of a response: its beginning at once, PIECES pieces, and its end."""
    yield line({"type": "response.created", "sequence_number": 0, "response": response(body, "in_progress")})
    await asyncio.sleep(FIRST)
    where = {"item_id": "m", "output_index": 0, "content_index": 0, "sequence_number": 1}
    for number in range(PIECES):
        if number:
            await asyncio.sleep(GAP)
        kind = "response.reasoning_text.delta" if number < 2 else "response.output_text.delta"
        yield line({"type": kind, "delta": "t", "logprobs": [], **where})
    yield line({"type": "response.completed", "sequence_number": 2, "response": response(body, "completed")})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the app."""
    from .conftest import run_server

    with run_server(build_app()) as server:
        yield f"{server.url}/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    """Return a measured client."""
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        instrument_openai(made)
        yield made


@pytest.fixture
async def async_client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    """Return a measured client."""
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as made:
        instrument_openai(made)
        yield made


def new_model(kind: str = "content") -> str:
    """Return a model that has no series yet; its first word chooses what the server sends."""
    return f"{kind} {next(_numbers)}"


def llm(name: str, model: str, **labels: str) -> float:
    """Return a sample, 0 where there is none."""
    return read_default(f"gen_ai_client_{name}", gen_ai_request_model=model, **labels) or 0


def check_stream(model: str, *, usage: bool = False) -> None:
    """Check the times of a stream that was read to its end."""
    assert llm("operation_duration_seconds_count", model) == 1
    first, whole = llm("time_to_first_token_seconds_sum", model), llm("operation_duration_seconds_sum", model)
    assert llm("time_to_first_token_seconds_count", model) == 1
    assert FIRST - 0.005 <= first <= whole - GAP
    assert llm("time_per_output_token_seconds_count", model) == 1
    # On a busy machine the client may receive several pieces together.
    assert 0 < llm("time_per_output_token_seconds_sum", model) <= (whole - first) / (PIECES - 1)
    assert llm("token_usage_total", model, gen_ai_token_type="output") == PIECES
    assert llm("token_usage_total", model, gen_ai_token_type="input") == (11 if usage else 0)
    assert llm("errors_total", model) == 0


@pytest.mark.parametrize("kind", THOUGHTS)
def test_the_first_generated_piece_is_the_first_token(client: openai.OpenAI, kind: str):
    """Whatever it is called: an empty piece is none."""
    model = new_model(kind)
    assert len(list(client.chat.completions.create(model=model, messages=HI, stream=True))) == 1 + PIECES
    check_stream(model)


def test_hidden_reasoning_does_not_make_tokens_faster(client: openai.OpenAI):
    """Tokens that were never sent are counted, and have no part in the time per token."""
    model = new_model("hidden")
    for _ in client.chat.completions.create(
        model=model, messages=HI, stream=True, stream_options={"include_usage": True}
    ):
        pass
    assert llm("token_usage_total", model, gen_ai_token_type="output") == 1000 + PIECES
    assert llm("time_per_output_token_seconds_sum", model) >= 0.5 * GAP


READS: dict[str, Callable[[openai.OpenAI, str], object]] = {
    "raw, parsed": lambda client, model: list(
        client.chat.completions.with_raw_response.create(model=model, messages=HI, stream=True).parse()
    ),
    "raw, lines": lambda client, model: list(
        client.chat.completions.with_raw_response.create(
            model=model, messages=HI, stream=True
        ).http_response.iter_text()
    ),
    "a copy": lambda client, model: list(
        client.with_options(timeout=9).chat.completions.create(model=model, messages=HI, stream=True)
    ),
    "a copy of a copy": lambda client, model: list(
        client.with_options(timeout=9).copy().chat.completions.create(model=model, messages=HI, stream=True)
    ),
    "a helper": lambda client, model: read_helper(client, model),  # noqa: PLW0108 - it is defined below
    "streaming, parsed": lambda client, model: read_streaming(client, model, lambda answer: list(answer.parse())),
    "streaming, bytes": lambda client, model: read_streaming(client, model, lambda answer: list(answer.iter_bytes())),
    "streaming, at once": lambda client, model: read_streaming(client, model, lambda answer: answer.read()),
    "posted": lambda client, model: list(
        client.post(
            "/chat/completions",
            body={"model": model, "messages": HI, "stream": True},
            cast_to=openai.types.chat.ChatCompletionChunk,
            stream=True,
            stream_cls=openai.Stream[openai.types.chat.ChatCompletionChunk],
        )
    ),
}


def read_helper(client: openai.OpenAI, model: str) -> None:
    """Read the events of the client's own helper."""
    with client.chat.completions.stream(model=model, messages=HI) as stream:
        for _ in stream:
            pass


def read_streaming(client: openai.OpenAI, model: str, read: Callable[[Any], object]) -> None:
    """Read a response whose body is not read by the client."""
    completions = client.chat.completions.with_streaming_response
    with completions.create(model=model, messages=HI, stream=True) as answer:
        read(answer)


@pytest.mark.parametrize("read", READS)
def test_a_stream_is_measured_however_it_is_read(client: openai.OpenAI, read: str):
    """The call lasts until its stream has been read."""
    model = new_model()
    READS[read](client, model)
    check_stream(model)


@pytest.mark.parametrize("how", ["raw", "streaming", "a copy", "a helper"])
async def test_the_same_asynchronously(async_client: openai.AsyncOpenAI, how: str):
    """The async client's calls, too."""
    model = new_model("reasoning")
    completions = async_client.chat.completions
    if how == "raw":
        raw = await completions.with_raw_response.create(model=model, messages=HI, stream=True)
        assert len([chunk async for chunk in raw.parse()]) == 1 + PIECES
    elif how == "streaming":
        async with completions.with_streaming_response.create(model=model, messages=HI, stream=True) as answer:
            assert len([text async for text in answer.iter_lines() if text]) == 2 + PIECES
    elif how == "a copy":
        copied = async_client.with_options(max_retries=1)
        stream = await copied.chat.completions.create(model=model, messages=HI, stream=True)
        assert len([chunk async for chunk in stream]) == 1 + PIECES
    else:
        async with completions.stream(model=model, messages=HI) as helper:
            assert [event async for event in helper]
    check_stream(model)


def test_the_responses_api(client: openai.OpenAI):
    """Events of a response, its usage, and `parse`; one in the background ends elsewhere, and is not counted."""
    streamed, whole, later = new_model(), new_model(), new_model()
    kinds = [event.type for event in client.responses.create(model=streamed, input="hi", stream=True)]
    assert kinds[-1] == "response.completed"
    check_stream(streamed, usage=True)
    parsed = client.responses.parse(model=whole, input="hi", text_format=Greeting)
    assert parsed.output_parsed == Greeting(word="hi")
    assert llm("operation_duration_seconds_count", whole) == 1
    assert llm("token_usage_total", whole, gen_ai_token_type="output") == PIECES
    assert llm("time_to_first_token_seconds_count", whole) == 0
    client.responses.create(model=later, input="hi", background=True)
    assert llm("operation_duration_seconds_count", later) == 0


def test_whole_answers(client: openai.OpenAI):
    """Parsed, raw, embedded, spoken: each is one call with its usage; what is no call of a model is none."""
    parsed, raw, streaming, embedded, spoken = (new_model() for _ in range(5))
    completions = client.chat.completions
    answer = completions.parse(model=parsed, messages=HI, response_format=Greeting)
    assert answer.choices[0].message.parsed == Greeting(word="hi")
    assert completions.with_raw_response.create(model=raw, messages=HI).parse().usage is not None
    with completions.with_streaming_response.create(model=streaming, messages=HI) as body:
        assert body.json()
    assert client.embeddings.create(model=embedded, input="hi").data
    assert client.audio.speech.create(model=spoken, voice="alloy", input="hi").content == b"sound"
    assert list(client.models.list()) == []
    for model in (parsed, raw, streaming):
        assert llm("operation_duration_seconds_count", model) == 1
        assert llm("operation_duration_seconds_sum", model) >= FIRST - 0.005
        assert llm("token_usage_total", model, gen_ai_token_type="output") == PIECES
    assert llm("operation_duration_seconds_count", embedded) == llm("operation_duration_seconds_count", spoken) == 1
    assert llm("token_usage_total", embedded, gen_ai_token_type="input") == 11
    assert llm("operation_duration_seconds_count", "unknown") == 0


@pytest.mark.parametrize("kind", ["breaks", "reports"])
def test_a_stream_that_fails_is_an_error(client: openai.OpenAI, kind: str):
    """The connection breaks, or the server says so within the stream: parsed or read as bytes."""
    plain, raw = new_model(kind), new_model(kind)
    with pytest.raises((openai.APIConnectionError, openai.APIError)):
        list(client.chat.completions.create(model=plain, messages=HI, stream=True))
    try:
        read_streaming(client, raw, lambda answer: list(answer.iter_lines()))
    except Exception:  # noqa: BLE001 - httpx's own error, or none where the server has reported its failure
        assert kind == "breaks"
    for model in (plain, raw):
        assert llm("errors_total", model) == 1
        assert llm("operation_duration_seconds_count", model) == 1


def test_a_caller_that_leaves_early_has_not_failed(client: openai.OpenAI):
    """The call ends when the response is closed, however it was opened."""
    plain, raw, helped = (new_model() for _ in range(3))
    with client.chat.completions.create(model=plain, messages=HI, stream=True) as stream:
        next(iter(stream))
    read_streaming(client, raw, lambda answer: next(answer.iter_lines()))
    with client.chat.completions.stream(model=helped, messages=HI) as helper:
        next(iter(helper))
    for model in (plain, raw, helped):
        assert (llm("operation_duration_seconds_count", model), llm("errors_total", model)) == (1, 0)


@pytest.mark.parametrize(
    ("chunk", "pieces"),
    [
        ({"choices": [{"delta": {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}}]}, 1),
        ({"choices": [{"delta": {"audio": {"id": "a", "expires_at": 5}}}]}, 0),
        ({"choices": [{"delta": {"reasoning_details": [{"type": "reasoning.text", "text": "t"}]}}]}, 1),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}, {"delta": {"content": "b"}}]}, 1),
        ({"choices": [{"text": "t"}]}, 1),
        ({"choices": [{"text": ""}]}, 0),
        ({"choices": []}, 0),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, 1),
        ({"type": "response.refusal.delta", "delta": "no"}, 1),
        ({"type": "response.output_text.delta", "delta": "", "obfuscation": "xyz"}, 0),
        ({"type": "response.output_text.done", "text": "whole"}, 0),
        ({"type": "speech.audio.delta", "audio": "AAAA"}, 1),
        ({}, 0),
    ],
)
def test_what_counts_as_generated(chunk: dict[str, Any], pieces: int):
    """Text under any name; what a piece says about itself is not generated."""
    assert len(generated_pieces(chunk)) == pieces
