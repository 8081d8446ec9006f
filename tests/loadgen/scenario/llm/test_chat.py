"""The bodies of each API, and conversations, against a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config.llm import LlmConfig
from perfloop_loadgen.scenario.llm.bodies import body_of

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

HI = [{"role": "user", "content": "hi"}]
MORE = [*HI, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "go"}]


def _llm(**fields: Any) -> LlmConfig:
    return LlmConfig.model_validate({"model": "m"} | fields)


@pytest.mark.parametrize(
    ("path", "messages", "body"),
    [
        (
            "/v1/chat/completions?x=1",
            HI,
            {"messages": HI, "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}},
        ),
        (
            "/v1/completions",
            MORE,
            {"prompt": "hi\nyes\ngo", "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}},
        ),
        ("/v1/responses", MORE, {"input": MORE, "max_output_tokens": 9, "stream": True}),
        ("/v1/messages", MORE, {"messages": MORE, "max_tokens": 9, "stream": True}),
        ("/api/chat", MORE, {"messages": MORE, "options": {"num_predict": 9}, "stream": True}),
        ("/api/generate", HI, {"prompt": "hi", "options": {"num_predict": 9}, "stream": True}),
        (
            "/other",
            HI,
            {"messages": HI, "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}},
        ),
    ],
)
def test_each_api_has_its_own_form(path: str, messages: list[dict[str, str]], body: dict[str, Any]):
    """Known by the path; no temperature, nor anything else that was not given."""
    llm = _llm()
    assert body_of(llm, llm.api_of(path), messages, 9) == {"model": "m", **body}


def test_the_form_may_be_named():
    """Where the path is the service's own."""
    assert "input" in body_of(_llm(api="responses"), _llm(api="responses").api_of("/v1/chat/completions"), HI, 9)


@pytest.mark.parametrize(
    ("api", "where"), [("chat", ["messages", 0, "content"]), ("responses", ["instructions"]), ("messages", ["system"])]
)
def test_a_system_prompt_is_where_the_api_has_it(api: str, where: list[Any]):
    """Also Ollama's generate, and before a completion."""
    found: Any = body_of(_llm(system="be brief"), api, HI, 9)  # type: ignore[arg-type]
    for part in where:
        found = found[part]
    assert found == "be brief"


def test_further_fields_go_into_the_body():
    """Over those that are sent anyway; objects are merged, null leaves a field out."""
    own = {"top_p": 0.5, "stream_options": {"continuous_usage_stats": True}, "max_completion_tokens": 50}
    own |= {"nested": {"a": [1]}}
    body = body_of(_llm(temperature=0, ignore_eos=True, body=own), "chat", HI, 9)
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert (body["temperature"], body["ignore_eos"], body["top_p"], body["nested"]) == (0, True, 0.5, {"a": [1]})
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body
    assert "max_tokens" not in body_of(_llm(body={"max_tokens": None}), "chat", HI, 9)
    assert body_of(_llm(max_completion_tokens=7), "chat", HI, 7)["max_completion_tokens"] == 7
    ollama = body_of(_llm(temperature=0.5, body={"options": {"num_ctx": 8}, "keep_alive": -1}), "ollama_chat", HI, 9)
    assert ollama["options"] == {"num_predict": 9, "temperature": 0.5, "num_ctx": 8}


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Echo:
    """A model that answers with the number of the messages that it got, after a little thinking."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[bytes] = []

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head, _, body = request.partition(b"\r\n\r\n")
        self.heads.append(head)
        self.bodies.append(json.loads(body))
        count = len(self.bodies[-1].get("messages", ()))
        chunks = [{"reasoning_content": "hm"}, {"content": "answer "}, {"content": str(count)}]
        events = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in chunks]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}
        events.append({"choices": [], "usage": usage})
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode() + b"data: [DONE]\n\n"
        writer.write(HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))


def _config(url: str, llm: dict[str, Any], **changes: Any) -> LoadTestConfig:
    endpoint = {"path": "/v1/chat/completions", "llm": {"model": "m", "max_tokens": 9} | llm}
    test = {"base_url": url, "duration_seconds": 0.4, "concurrent_users": 2, "endpoints": [endpoint]}
    return LoadTestConfig.model_validate(test | changes)


async def test_a_conversation_carries_its_answers(serve: Any):
    """Every turn has all turns before it, with the answers that the server gave and without its reasoning."""
    model = Echo()
    async with serve(model) as service:
        config = _config(service.url, {"turns": 3, "system": "brief", "prompt_words": 10}, think_time_seconds=0.05)
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok"}
    turns = [len(body["messages"]) for body in model.bodies]
    assert set(turns) == {2, 4, 6}
    last = next(body["messages"] for body in model.bodies if len(body["messages"]) == 6)
    assert [message["role"] for message in last] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert [last[2]["content"], last[4]["content"]] == ["answer 2", "answer 4"]
    asked = [message["content"] for message in last if message["role"] == "user"]
    assert len({text.split()[0] for text in asked}) == 3
    streams = summary.endpoints[0].streams
    # What was asked for is known of first turns alone: the later ones have the server's words in them.
    assert streams.asked_answers == turns.count(2)
    assert streams.cached_tokens == 5 * streams.answers


async def test_a_turn_that_fails_ends_its_conversation(serve: Any):
    """The next one begins with one message."""
    lengths: list[int] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        lengths.append(len(json.loads(request.partition(b"\r\n\r\n")[2])["messages"]))
        writer.write(HEAD + b"0\r\n\r\n")

    async with serve(answer) as service:
        summary = await LoadTester(_config(service.url, {"turns": 3}, think_time_seconds=0.05)).run_load_test()
    assert set(lengths) == {1}
    assert set(summary.outcomes) == {"empty_stream"}


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_prompt_comes_twice_in_a_run_or_the_next(serve: Any, workers: int):
    """By any worker; each run has a seed of its own, which its report names and which gives the same prompts again."""
    model = Echo()
    async with serve(model) as service:

        async def run(**changes: Any) -> tuple[set[str], LoadTester]:
            model.bodies.clear()
            config = _config(service.url, {"prompt_words": 20}, workers=workers, think_time_seconds=0.01, **changes)
            tester = LoadTester(config)
            summary = await tester.run_load_test()
            prompts = [body["messages"][0]["content"] for body in model.bodies]
            assert len(set(prompts)) == len(prompts) >= summary.total_requests > 0
            return set(prompts), tester

        first, tester = await run()
        second, other = await run()
        again, repeated = await run(seed=tester.seed)
    assert not first & second
    assert first & again
    assert repeated.seed == tester.seed != other.seed
    document = tester.document(tester.summary())
    assert document.seed == tester.seed
    assert f"seed {tester.seed}" in " ".join(document.summary.notes)
    # Two runs without a seed of the test's own were configured alike.
    assert document.config_hash == repeated.document(repeated.summary()).config_hash


async def test_what_is_open_is_filled_for_each_request(serve: Any, tmp_path: Path):
    """Headers and further fields take data columns; a prompt that looks like a placeholder is sent as it is."""
    (tmp_path / "users.csv").write_text("token,user\nabc,ann\n")
    (tmp_path / "prompts.txt").write_text("what is ${x}?\n")
    model = Echo()
    async with serve(model) as service:
        config = _config(service.url, {"prompts_file": tmp_path / "prompts.txt", "body": {"user": "${user}"}})
        config.endpoints[0].headers = {"Authorization": "Bearer ${token}"}
        config.data_file = tmp_path / "users.csv"
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok"}
    assert b"Authorization: Bearer abc" in model.heads[0]
    assert (model.bodies[0]["user"], model.bodies[0]["messages"][0]["content"]) == ("ann", "what is ${x}?")


async def test_a_step_of_a_scenario_may_ask_a_model(serve: Any):
    """With the values of the steps before it."""
    model = Echo()
    async with serve(model) as service:
        step = {"path": "/v1/messages", "llm": {"model": "m", "api": "messages"}, "checks": [{"body_contains": "hm"}]}
        test = {"base_url": service.url, "duration_seconds": 0.3, "concurrent_users": 1, "think_time_seconds": 0.05}
        config = LoadTestConfig.model_validate(test | {"scenarios": [{"steps": [step, step]}]})
        summary = await LoadTester(config).run_load_test()
    assert set(summary.outcomes) == {"ok"}
    assert b"anthropic-version: 2023-06-01" in model.heads[0]
    prompts = [body["messages"][0]["content"] for body in model.bodies]
    assert len(set(prompts)) == len(prompts)
