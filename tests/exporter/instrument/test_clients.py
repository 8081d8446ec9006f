"""HTTP and LLM clients against real servers, and the serving side of LLM calls."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

from perfloop_exporter.instrument import instrument_httpx, instrument_openai, llm_server_call

from .conftest import RunningServer, read_default

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def build_app() -> FastAPI:
    """Return an OpenAI-compatible server with one response."""
    app = FastAPI()

    @app.get("/status/{code}")
    async def status(code: int) -> Response:
        return Response(status_code=code)

    @app.post("/v1/chat/completions", response_model=None)
    async def chat(body: dict[str, Any]) -> Response:
        if body["model"].startswith("broken"):
            return JSONResponse({"error": {"message": "on purpose"}}, 400)
        if body.get("stream"):
            return StreamingResponse(stream(body), media_type="text/event-stream")
        message = {"role": "assistant", "content": "one two"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return JSONResponse(envelope(body, "chat.completion", choices) | {"usage": USAGE})

    return app


def envelope(body: dict[str, Any], kind: str, choices: list[Any]) -> dict[str, Any]:
    """Return the response object around the choices."""
    return {"id": "1", "object": kind, "created": 1, "model": body["model"], "choices": choices}


async def stream(body: dict[str, Any]) -> AsyncIterator[str]:
    """Yield five tokens, the first after 60 ms, the others 20 ms apart."""
    await asyncio.sleep(0.04)
    for token in range(5):
        await asyncio.sleep(0.02)
        choice = {"index": 0, "delta": {"content": f"t{token} "}, "finish_reason": None}
        yield f"data: {json.dumps(envelope(body, 'chat.completion.chunk', [choice]))}\n\n"
    if body.get("stream_options"):
        yield f"data: {json.dumps(envelope(body, 'chat.completion.chunk', []) | {'usage': USAGE})}\n\n"
    yield "data: [DONE]\n\n"


@pytest.fixture
def server(serve: Callable[..., RunningServer]) -> RunningServer:
    """Serve the app."""
    return serve(build_app())


def requests(status: str) -> float:
    """Return the number of outgoing requests with this status so far."""
    labels = {"http_request_method": "GET", "server_address": "127.0.0.1", "http_response_status_code": status}
    return read_default("http_client_request_duration_seconds_count", **labels) or 0


def test_an_httpx_client(server: RunningServer):
    """Requests are timed by method, host and status; instrumenting a client twice has no effect."""
    before = {status: requests(status) for status in ("204", "503")}
    with httpx.Client() as client:
        instrument_httpx(client)
        instrument_httpx(client)
        assert client.get(f"{server.url}/status/204").status_code == 204
        with client.stream("GET", f"{server.url}/status/503") as response:
            assert response.status_code == 503
    assert {status: requests(status) - seen for status, seen in before.items()} == {"204": 1, "503": 1}


async def test_an_async_httpx_client(server: RunningServer):
    """Async requests are timed, too; a failed one has no status, and its exception is raised."""
    before = {status: requests(status) for status in ("204", "error")}
    async with httpx.AsyncClient() as client:
        instrument_httpx(client)
        assert (await client.get(f"{server.url}/status/204")).status_code == 204
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:9")
    assert {status: requests(status) - seen for status, seen in before.items()} == {"204": 1, "error": 1}


def llm(name: str, model: str, **labels: str) -> float:
    """Return a sample of the client side."""
    return read_default(f"gen_ai_client_{name}", gen_ai_request_model=model, **labels) or 0


def check_stream(model: str) -> None:
    """Check the measurements of the stream above."""
    assert llm("time_to_first_token_seconds_count", model) == 1
    first, whole = llm("time_to_first_token_seconds_sum", model), llm("operation_duration_seconds_sum", model)
    assert first >= 0.055
    assert llm("time_per_output_token_seconds_count", model) == 1
    # Four gaps after the first token. On a busy machine the client may receive several tokens together.
    assert 0 < first + 4 * llm("time_per_output_token_seconds_sum", model) <= whole
    assert whole >= 0.13
    assert llm("token_usage_total", model, gen_ai_token_type="output") == 5
    assert llm("errors_total", model) == 0


def test_an_openai_client(server: RunningServer):
    """Complete responses, streams with and without usage, and errors are measured."""
    messages: Any = [{"role": "user", "content": "hi"}]
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        instrument_openai(client)
        instrument_openai(client)
        create = client.chat.completions.create
        answer = create(model="whole", messages=messages)
        assert answer.choices[0].message.content == "one two"
        pieces = [chunk.choices[0].delta.content for chunk in create(model="sync", messages=messages, stream=True)]
        assert pieces == ["t0 ", "t1 ", "t2 ", "t3 ", "t4 "]
        for _ in create(model="usage", messages=messages, stream=True, stream_options={"include_usage": True}):
            pass
        with create(model="left", messages=messages, stream=True) as stream:
            next(iter(stream))
        with pytest.raises(openai.BadRequestError):
            create(model="broken sync", messages=messages)
    assert llm("token_usage_total", "whole", gen_ai_token_type="input") == 11
    assert llm("operation_duration_seconds_count", "whole") == 1
    check_stream("sync")
    check_stream("usage")
    assert llm("token_usage_total", "usage", gen_ai_token_type="input") == 11
    assert llm("operation_duration_seconds_count", "left") == 1
    assert llm("errors_total", "left") == 0
    assert llm("errors_total", "broken sync") == 1


async def test_an_async_openai_client(server: RunningServer):
    """Async streams and errors are measured, too."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        instrument_openai(client)
        stream = await client.chat.completions.create(
            model="async", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        assert len([chunk async for chunk in stream]) == 5
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="broken async", messages=[])
    check_stream("async")
    assert llm("errors_total", "broken async") == 1


def served(name: str, model: str, **labels: str) -> float | None:
    """Return a sample of the serving side."""
    return read_default(f"gen_ai_server_{name}", gen_ai_request_model=model, **labels)


def test_a_served_call():
    """Time to first token, time per output token and tokens are recorded; a second finish changes nothing."""
    call = llm_server_call("served")
    for _ in range(3):
        time.sleep(0.02)
        call.token()
    call.finish(input_tokens=7)
    call.finish(input_tokens=7)
    assert (served("time_to_first_token_seconds_sum", "served") or 0) >= 0.02
    assert (served("time_per_output_token_seconds_sum", "served") or 0) >= 0.02
    assert served("request_duration_seconds_count", "served") == 1
    assert served("token_usage_total", "served", gen_ai_token_type="input") == 7
    assert served("token_usage_total", "served", gen_ai_token_type="output") == 3
    assert served("tokens_per_call_bucket", "served", gen_ai_token_type="input", le="8.0") == 1
    assert served("tokens_per_call_sum", "served", gen_ai_token_type="output") == 3
    assert served("tokens_per_call_count", "served", gen_ai_token_type="output") == 1


def test_a_served_call_that_fails():
    """When an exception leaves the block, the call, its tokens and the error are counted."""
    with pytest.raises(RuntimeError), llm_server_call("failing") as call:  # noqa: PT012 - the block is measured
        call.token()
        raise RuntimeError
    with llm_server_call("fine") as call:
        call.token()
    assert served("errors_total", "failing") == 1
    assert served("request_duration_seconds_count", "failing") == 1
    assert served("token_usage_total", "failing", gen_ai_token_type="output") == 1
    assert served("errors_total", "fine") == 0
