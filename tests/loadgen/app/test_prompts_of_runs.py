"""Prompts over several runs, and what workers get of a test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.breakpoint import BreakpointTester
from perfloop_loadgen.app.repeat import runs_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

ANSWER = b'data: {"choices": [{"delta": {"content": "w"}, "finish_reason": "stop"}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


def _model(prompts: list[str]) -> Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        prompts.append(json.loads(request.partition(b"\r\n\r\n")[2])["messages"][0]["content"])
        writer.write(HEAD + ANSWER)

    return answer


def _config(url: str, **changes: Any) -> LoadTestConfig:
    endpoint = {"path": "/v1/chat/completions", "llm": {"model": "m", "prompt_words": 10}}
    test = {"base_url": url, "duration_seconds": 0.2, "concurrent_users": 1, "think_time_seconds": 0.02}
    return LoadTestConfig.model_validate(test | {"endpoints": [endpoint]} | changes)


@pytest.mark.parametrize("seed", [None, 7])
async def test_runs_that_are_repeated_have_prompts_of_their_own(serve: Any, seed: int | None):
    """Also under a seed of the test's own: else all runs but the first would measure the server's cache."""
    prompts: list[str] = []
    async with serve(_model(prompts)) as service:
        documents = [document async for document in runs_of(_config(service.url, seed=seed), 3)]
    assert len(set(prompts)) == len(prompts) > 3
    assert len({document.seed for document in documents}) == 3
    assert len({document.config_hash for document in documents}) == 1


async def test_trials_of_a_search_have_prompts_of_their_own(serve: Any):
    """Every rate is measured on prompts that the server has not read before."""
    prompts: list[str] = []
    search = {"shape": "breakpoint", "start_rate": 5, "max_rate": 10, "step_seconds": 0.5, "confirm_seconds": 0.5}
    async with serve(_model(prompts)) as service:
        await BreakpointTester(_config(service.url, seed=7, load=search)).run_load_test()
    assert len(set(prompts)) == len(prompts) > 5


async def test_workers_request_what_the_test_requests(serve: Any):
    """Of a test with scenarios alone, no worker requests the endpoints that a test without any has."""
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as service:
        test = {"base_url": service.url, "duration_seconds": 0.3, "concurrent_users": 2, "workers": 2}
        config = LoadTestConfig.model_validate(test | {"scenarios": [{"steps": [{"path": "/only"}]}]})
        summary = await LoadTester(config).run_load_test()
    assert summary.total_requests > 0
    assert {request.split(b" ")[1] for request in service.requests} == {b"/only"}
